"""From samples to minutes."""

import pytest

from libs.common.metrics.port import Received
from libs.common.metrics.samples import (
    Batch,
    GpuUsage,
    Kind,
    ReplicaUsage,
    RequestsInFlight,
    RequestTotals,
)
from services.api.points.minutes import DeploymentPoint, Gathering, Minute
from services.router.measuring.in_flight import InFlightBatches


class Stream:
    """What a test has the stream hold. since: when what counts begins. edges: who has to have counted."""

    def __init__(self, *, since: float = 0.0, edges: tuple[str, ...] = ()):
        self.gathering = Gathering(since=since, edges=edges)
        self.minutes: list[Minute] = []
        self.number = 0

    def send(self, at: float, **fields):
        self.number += 1
        batch = Batch(
            **{
                "source": "edge",
                "counter_id": "one",
                "number": self.number,
                "interval_s": 5,
                "ended_at": at,
                **fields,
            }
        )
        if (minute := self.gathering.take(Received(batch, at, self.number))) is not None:
            self.minutes.append(minute)

    def requests(self, at: float, *, whole: bool = False, part: int = 1, parts: int = 1, **totals):
        some = {
            name: fields.pop(name)
            for fields in [totals]
            for name in ("source", "counter_id")
            if name in fields
        }
        self.send(
            at,
            kind=Kind.REQUESTS,
            is_whole=whole,
            part=part,
            parts=parts,
            requests=[
                RequestTotals(
                    deployment_id=each, answered=count, duration_us=count * 1000, unanswered=count // 10
                )
                for each, count in totals.items()
            ],
            **some,
        )

    def usage(self, at: float, *, ended_at: float | None = None, attempt: int = 0, **cores):
        self.send(
            at,
            source="health",
            kind=Kind.USAGE,
            usage=[
                ReplicaUsage(
                    deployment_id="d",
                    replica_id=each,
                    attempt=attempt,
                    ended_at=at if ended_at is None else ended_at,
                    window_s=15,
                    cpu_cores=used,
                    memory_bytes=1000,
                    cpus=2,
                    memory_gib=1,
                )
                for each, used in cores.items()
            ],
        )

    def finished(self, now: float = 1e9) -> list[Minute]:
        if (minute := self.gathering.finish(now)) is not None:
            self.minutes.append(minute)
        return self.minutes


def answered(minutes) -> dict[int, dict[str, float | None]]:
    return {
        minute.number: {each: point.answered for each, point in minute.deployments.items()}
        for minute in minutes
    }


def test_requests_are_the_differences_of_totals_in_their_minutes():
    stream = Stream()
    stream.requests(10, whole=True, a=100, b=5)
    stream.requests(15, a=110)
    stream.requests(59, a=150)
    stream.requests(61, a=160, b=7)
    stream.requests(66)
    assert answered(stream.finished()) == {0: {"a": 50.0}, 1: {"a": 10.0, "b": 2.0}}
    assert all(minute.has_requests for minute in stream.minutes)
    assert stream.minutes[0].deployments["a"].duration_us == 50_000.0
    assert stream.minutes[0].deployments["a"].unanswered == 5.0


def test_a_lost_batch_costs_no_request():
    stream = Stream()
    stream.requests(10, whole=True, a=100)
    # Those of the seconds 15 to 65 never came.
    stream.requests(70, a=400)
    assert answered(stream.finished()) == {0: {}, 1: {"a": 300.0}}


def test_a_counter_that_begins_anew_begins_at_0():
    stream = Stream()
    stream.requests(10, whole=True, a=100)
    stream.requests(15, counter_id="two", whole=True, a=30)
    assert answered(stream.finished()) == {0: {"a": 30.0}}


def test_a_total_that_fell_makes_its_minute_unknown_and_the_next_one_counts_again():
    stream = Stream()
    stream.requests(10, whole=True, a=100, b=0)
    stream.requests(15, a=90, b=1)
    stream.requests(65, a=95)
    assert answered(stream.finished()) == {0: {"a": None, "b": 1.0}, 1: {"a": 5.0}}


def test_the_sources_are_summed():
    stream = Stream()
    stream.requests(10, whole=True, a=100)
    stream.requests(11, source="other", whole=True, a=1000)
    stream.requests(20, a=101)
    stream.requests(21, source="other", a=1002)
    assert answered(stream.finished()) == {0: {"a": 3.0}}


def test_at_first_a_total_says_nothing_of_the_minute():
    stream = Stream()
    stream.requests(10, a=100)
    stream.requests(15, b=100)
    assert answered(stream.finished()) == {0: {}}


def test_what_a_whole_batch_does_not_have_began_at_0():
    stream = Stream()
    stream.requests(10, whole=True, part=1, parts=2, a=100)
    stream.requests(11, b=7)
    stream.number -= 2
    stream.requests(12, whole=True, part=2, parts=2, c=5)
    stream.number += 1
    stream.requests(15, d=4)
    assert answered(stream.finished()) == {0: {"d": 4.0}}


def test_a_source_that_appears_long_after_reading_began_has_counted_since_then():
    stream = Stream()
    stream.usage(10, r=None)
    stream.requests(99, source="soon", a=3)
    stream.requests(200, source="new", a=3)
    assert answered(stream.finished())[3] == {"a": 3.0}
    assert "a" not in stream.minutes[1].deployments


def test_what_was_before_only_tells_the_totals():
    stream = Stream(since=120)
    stream.requests(60, whole=True, a=100, b=1)
    stream.requests(100, a=150)
    stream.usage(110, r=1.0)
    stream.requests(121, a=151)
    assert answered(stream.finished()) == {2: {"a": 1.0}}
    assert stream.minutes[0].replicas == {}


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
    assert {name: (point.in_flight, point.in_flight_most) for name, point in minute.deployments.items()} == {
        "busy": (0.5, 10),
        "other": (1, 1),
        "d": (0, 0),
    }


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


def test_a_minute_in_which_nothing_was_measured_is_not_there():
    stream = Stream()
    stream.requests(10, whole=True, a=1)
    stream.requests(200, a=2)
    assert list(answered(stream.finished())) == [0, 3]


def test_a_minute_is_over_when_its_time_is():
    stream = Stream()
    stream.requests(10, whole=True, a=1)
    assert stream.gathering.finish(59.9) is None
    assert stream.gathering.finish(60) is not None
    assert stream.gathering.finish(120) is None


@pytest.mark.parametrize(("back_to", "numbers"), [(130, [10]), (10, [10, 0])])
def test_a_clock_that_steps_back(back_to, numbers):
    """A little: what comes counts in the present minute. Far: the minutes are those of the clock again."""
    stream = Stream()
    stream.requests(600, whole=True, a=1)
    stream.requests(600 - 120 if back_to == 130 else back_to, a=2)
    assert list(answered(stream.finished())) == numbers


def test_a_deployment_with_use_and_without_requests_had_none_where_they_were_counted():
    stream = Stream()
    stream.requests(5, whole=True, d=9)
    stream.usage(6, r=0.5)
    (minute,) = stream.finished()
    assert minute.deployments["d"] == DeploymentPoint(
        answered=0.0,
        unanswered=0.0,
        server_errors=0.0,
        duration_us=0.0,
        cpu_cores=0.5,
        memory_bytes=1000.0,
        replicas=1.0,
    )


def test_a_minute_in_which_one_of_several_edges_was_silent_is_unknown():
    stream = Stream(edges=("edge", "edge-2"))
    stream.requests(0, whole=True, d=0)
    stream.requests(1, whole=True, source="edge-2", counter_id="two", d=0)
    for at in (10, 65, 130):
        stream.requests(at, d=at)
        stream.send(at + 1, kind=Kind.IN_FLIGHT, in_flight=[RequestsInFlight(deployment_id="d", in_flight=2)])
        if at != 65:
            stream.requests(at + 2, source="edge-2", counter_id="two", d=at)
    last = stream.gathering.finish(180)
    assert last is not None
    first, silent, last = *stream.minutes, last
    assert [minute.has_requests for minute in (first, silent, last)] == [True, False, True]
    assert (first.deployments["d"].answered, first.deployments["d"].in_flight) == (20, 2)
    unknown = silent.deployments.get("d", DeploymentPoint())
    assert (unknown.answered, unknown.in_flight, unknown.in_flight_most) == (None, None, None)
    # A total goes on: what was counted in the silence is told after it.
    assert last.deployments["d"].answered == 65 + 120
