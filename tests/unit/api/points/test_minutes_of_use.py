"""From samples to minutes: what replicas used, and what was in flight."""

import pytest

from libs.common.metrics.samples import GpuUsage, Kind, ReplicaUsage, RequestsInFlight
from services.api.points.minutes import Minute
from services.router.measuring.in_flight import InFlightBatches
from tests.unit.api.points.stream import Stream


def test_use_is_averaged_for_each_replica_and_summed_for_the_deployment():
    stream = Stream()
    stream.usage(5, one=1.0, other=0.5)
    stream.usage(20, one=2.0, other=0.5)
    (minute,) = stream.finished()
    assert minute.replicas["d", "one"].cpu_cores == 1.5
    assert (minute.replicas["d", "one"].cpus, minute.replicas["d", "one"].memory_gib) == (2, 1)
    point = minute.deployments["d"]
    assert (point.cpu_cores, point.memory_bytes, point.replicas) == (2.0, 2000, 2)
    assert (minute.has_requests, point.answered) == (False, None)


def test_replicas_that_relieve_each_other_within_a_minute_use_no_more_than_each():
    stream = Stream()
    for at in (15, 30):
        stream.usage(at, old=1.0)
    for at in (45, 60):
        stream.usage(at - 0.1, new=1.0)
    (minute,) = stream.finished()
    assert minute.deployments["d"].cpu_cores == pytest.approx(1.0, rel=0.01)


def test_one_that_was_there_for_half_of_the_minute_counts_half():
    stream = Stream()
    for at in (14, 29, 44, 59):
        stream.usage(at, one=1.0, **({"other": 1.0} if at > 30 else {}))
    (minute,) = stream.finished()
    assert minute.deployments["d"].cpu_cores == 1.5


@pytest.mark.parametrize(("window_s", "times", "later_s"), [(60, (1,), 29), (10, (1, 16, 31, 46), 5)])
def test_replicas_that_a_source_measures_at_other_times_were_there_all_the_same(window_s, times, later_s):
    """Over windows as long as the minute, and over some with pauses between them."""
    stream = Stream()
    for at in times:
        stream.usage(at, window_s=window_s, one=1.0)
        stream.usage(at + later_s, window_s=window_s, other=1.0)
    (minute,) = stream.finished()
    assert minute.deployments["d"].cpu_cores == pytest.approx(2.0, rel=0.1)


def test_the_same_time_again_is_no_new_sample():
    stream = Stream()
    stream.usage(5, ended_at=1.0, r=1.0)
    stream.usage(20, ended_at=1.0, r=1.0)
    stream.usage(65, ended_at=1.0, r=1.0)
    stream.usage(80, ended_at=2.0, r=3.0)
    first, second = stream.finished()
    assert first.replicas["d", "r"].cpu_cores == 1.0
    assert second.replicas["d", "r"].cpu_cores == 3.0


def test_a_use_that_is_not_known_is_no_0():
    stream = Stream()
    stream.usage(5, r=None)
    (minute,) = stream.finished()
    assert minute.replicas["d", "r"].cpu_cores is None
    assert minute.deployments["d"].cpu_cores is None
    assert minute.deployments["d"].memory_bytes == 1000


def test_in_flight_is_averaged_and_its_highest_kept_over_all_sources():
    stream = Stream()
    for at, number, source in ((1, 2, "a"), (2, 4, "a"), (3, 10, "b")):
        stream.send(
            at,
            kind=Kind.IN_FLIGHT,
            source=source,
            in_flight=[RequestsInFlight(deployment_id="d", in_flight=number)],
        )
    (minute,) = stream.finished()
    assert (minute.deployments["d"].in_flight, minute.deployments["d"].in_flight_most) == (13.0, 14.0)


def test_what_is_in_flight_is_0_in_the_reports_that_do_not_have_it():
    """A 0 is told once, and not again before the next whole batch."""
    stream, router = Stream(), InFlightBatches("edge")
    stream.usage(0, r=1.0)
    for second in range(60):
        batch = router.next(
            {"busy": 10 if second < 3 else 0, "other": 1}, interval_s=1, ended_at=second, now=second
        )
        half = len(batch.in_flight) // 2
        for part, some in enumerate((batch.in_flight[:half], batch.in_flight[half:]), start=1):
            stream.send(
                second,
                kind=Kind.IN_FLIGHT,
                number=batch.number,
                part=part,
                parts=2,
                is_whole=batch.is_whole,
                in_flight=some,
            )
    (minute,) = stream.finished()
    assert carried(minute) == {"busy": (0.5, 10), "other": (1, 1), "d": (0, 0)}


def carried(minute: Minute) -> dict[str, tuple[float | None, float | None]]:
    return {name: (point.in_flight, point.in_flight_most) for name, point in minute.deployments.items()}


def test_of_what_nobody_was_asked_about_nothing_was_in_flight_unless_it_was_called():
    """A router asks about what was called in the last minute; without that there are no reports."""
    stream = Stream()
    stream.requests(1, whole=True, called=1, idle=1)
    stream.usage(2, r=1.0)
    stream.requests(30, called=2)
    (minute,) = stream.finished()
    assert carried(minute) == {"called": (None, None), "d": (0, 0)}


def test_what_was_in_flight_when_a_source_fell_silent_is_unknown():
    stream = Stream()
    stream.requests(1, whole=True, d=1)
    for at, number in ((2, 0), (3, 5)):
        stream.send(
            at,
            kind=Kind.IN_FLIGHT,
            in_flight=[RequestsInFlight(deployment_id="d", in_flight=number)],
        )
    stream.requests(62)
    first, silent = stream.finished()
    assert (carried(first), carried(silent)) == ({"d": (2.5, 5)}, {"d": (None, None)})


@pytest.mark.parametrize(("called", "in_flight"), [(1, 3), (2, None)])
def test_an_edge_without_reports_has_nothing_of_what_was_not_called_there(called, in_flight):
    stream = Stream(edges=("edge", "edge-2"))
    stream.requests(1, whole=True, d=1)
    stream.requests(1, whole=True, source="edge-2", d=1)
    stream.send(2, kind=Kind.IN_FLIGHT, in_flight=[RequestsInFlight(deployment_id="d", in_flight=3)])
    stream.requests(3, source="edge-2", d=called)
    (minute,) = stream.finished()
    assert carried(minute) == {"d": (in_flight, in_flight)}


def test_each_gpu_has_its_own():
    stream = Stream()
    used = ReplicaUsage(
        deployment_id="d",
        replica_id="r",
        attempt=0,
        ended_at=1,
        window_s=15,
        gpus=(GpuUsage(gpu=0, utilization_percent=50), GpuUsage(gpu=1, memory_bytes=7)),
    )
    stream.send(1, kind=Kind.USAGE, source="health", usage=[used])
    (minute,) = stream.finished()
    assert minute.gpus["d", "r", 0].utilization_percent == 50
    assert (minute.gpus["d", "r", 1].utilization_percent, minute.gpus["d", "r", 1].memory_bytes) == (None, 7)


def test_a_replica_that_its_source_no_longer_tells_of_is_forgotten():
    stream = Stream()
    stream.usage(10, one=1.0, gone=1.0)
    for at in (70, 130):
        for part, replica in ((1, "one"), (2, "other")):
            stream.send(
                at,
                source="health",
                kind=Kind.USAGE,
                is_whole=True,
                part=part,
                parts=2,
                number=int(at),
                usage=[
                    ReplicaUsage(deployment_id="d", replica_id=replica, attempt=0, ended_at=at, window_s=15)
                ],
            )
    assert {replica_id for _, replica_id in stream.gathering._last_usage} == {"one", "other"}
