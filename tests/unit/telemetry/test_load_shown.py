"""What is published of replicas and requests, as whoever watches the platform sees it."""

import pytest

from libs.common import telemetry
from libs.common.errors import MetricsUnavailable
from libs.common.load_shown import Shown
from libs.common.metrics.samples import (
    Batch,
    GpuUsage,
    Kind,
    ReplicaUsage,
    RequestsInFlight,
    RequestTotals,
)
from tests.support.gauges import shown


class Away:
    """METRICS, which takes nothing or everything."""

    def __init__(self) -> None:
        self.is_away = False

    async def publish(self, _: Batch) -> None:
        if self.is_away:
            raise MetricsUnavailable("away")


@pytest.fixture
def added(monkeypatch):
    """What was added to each counter, by deployment."""
    found: dict[str, dict[str, float]] = {}

    class Adding:
        def __init__(self, name: str) -> None:
            self._of = found.setdefault(name.rpartition(".")[2], {})

        def add_each(self, amounts):
            for deployment_id, amount in amounts.items():
                self._of[deployment_id] = self._of.get(deployment_id, 0) + amount

    monkeypatch.setattr(telemetry, "counter", lambda name, **_: Adding(name))
    return found


def batch(kind: Kind, **content) -> Batch:
    usual = {"source": "e1", "counter_id": "c1", "number": 1, "interval_s": 5, "ended_at": 1}
    return Batch.model_validate({"kind": kind, **usual, **content})


def totals(name: str, answered: int, **more: int) -> RequestTotals:
    return RequestTotals(deployment_id=name, answered=answered, **more)


def usage(name: str, replica: str, **more) -> ReplicaUsage:
    return ReplicaUsage(deployment_id=name, replica_id=replica, attempt=0, ended_at=1, window_s=15, **more)


async def test_requests_are_counted_from_when_they_are_first_heard_of(added):
    publisher = Shown(Away())
    old = totals("a", 1_000, duration_us=5_000_000)
    await publisher.publish(batch(Kind.REQUESTS, requests=(old,)))
    assert not any(added.values())
    more = totals("a", 1_010, duration_us=6_500_000, unanswered=3, server_errors=1)
    await publisher.publish(batch(Kind.REQUESTS, requests=(more, totals("b", 2))))
    await publisher.publish(batch(Kind.REQUESTS, requests=()))
    await publisher.publish(batch(Kind.REQUESTS, requests=(more,)))
    assert added == {
        "answered": {"a": 10, "b": 2},
        "unanswered": {"a": 3},
        "server_errors": {"a": 1},
        "duration": {"a": 1.5},
    }


async def test_only_what_the_source_still_has_is_remembered(added):
    """Whether or not anybody reads it: what is forgotten is counted from 0 when it comes again."""
    publisher = Shown(Away())
    await publisher.publish(batch(Kind.REQUESTS, requests=(totals("a", 100), totals("b", 7)), is_whole=True))
    await publisher.publish(batch(Kind.REQUESTS, requests=(totals("b", 8),)))
    await publisher.publish(batch(Kind.REQUESTS, requests=(totals("b", 9),), is_whole=True))
    assert added["answered"] == {"b": 2}
    await publisher.publish(batch(Kind.REQUESTS, requests=(totals("a", 1), totals("b", 10))))
    assert added["answered"] == {"a": 1, "b": 3}


async def test_what_a_new_counter_has_is_new_and_nothing_falls(added):
    publisher = Shown(Away())
    await publisher.publish(batch(Kind.REQUESTS, requests=(totals("a", 1_000),)))
    await publisher.publish(batch(Kind.REQUESTS, counter_id="c2", requests=(totals("a", 5),)))
    assert added["answered"] == {"a": 5}
    await publisher.publish(batch(Kind.REQUESTS, counter_id="c2", requests=(totals("a", 3),)))
    assert added["answered"] == {"a": 5}


async def test_each_source_counts_for_itself(added):
    publisher = Shown(Away())
    for source in ("e1", "e2"):
        await publisher.publish(batch(Kind.REQUESTS, source=source, requests=(totals("a", 100),)))
        await publisher.publish(batch(Kind.REQUESTS, source=source, requests=(totals("a", 101),)))
    assert added["answered"] == {"a": 2}


async def test_what_metrics_does_not_take_is_shown_all_the_same(added):
    stream = Away()
    publisher = Shown(stream)
    await publisher.publish(batch(Kind.REQUESTS, requests=(totals("a", 100),)))
    stream.is_away = True
    with pytest.raises(MetricsUnavailable):
        await publisher.publish(batch(Kind.REQUESTS, requests=(totals("a", 101),)))
    assert added["answered"] == {"a": 1}


async def test_usage_is_summed_by_deployment_and_what_is_unknown_is_not_there():
    publisher = Shown(Away())
    gpus = (GpuUsage(gpu=0, utilization_percent=40), GpuUsage(gpu=1, utilization_percent=30))
    mine = (
        usage("a", "r1", cpu_cores=0.5, memory_bytes=100, gpus=gpus),
        usage("a", "r2", cpu_cores=0.25, memory_bytes=50),
        usage("b", "r3", memory_bytes=7),
    )
    await publisher.publish(batch(Kind.USAGE, usage=mine))
    assert shown("specstream.deployment.cpu") == {("a",): 0.75}
    assert shown("specstream.deployment.memory") == {("a",): 150, ("b",): 7}
    assert shown("specstream.deployment.gpu") == {("a",): 70}
    await publisher.publish(batch(Kind.USAGE, usage=(), is_whole=True))
    assert shown("specstream.deployment.cpu") == {}


class Usage:
    """What replicas of `a` use, told every five seconds of a clock of its own."""

    def __init__(self) -> None:
        self._now = 0.0
        self._publisher = Shown(Away(), ticks=lambda: self._now)

    async def say(self, *told: ReplicaUsage, is_whole: bool = False) -> dict[tuple[str, ...], float]:
        """The cores that are shown then."""
        self._now += 5
        await self._publisher.publish(batch(Kind.USAGE, usage=told, is_whole=is_whole))
        return shown("specstream.deployment.cpu")


def measured(replica: str, cores: float, *, at: int) -> ReplicaUsage:
    return usage("a", replica, cpu_cores=cores).model_copy(update={"ended_at": at})


async def test_use_that_was_not_measured_anew_is_still_shown():
    told = Usage()
    assert await told.say(measured("r1", 1, at=1), measured("r2", 2, at=1)) == {("a",): 3}
    assert await told.say(measured("r2", 4, at=2)) == {("a",): 5}
    assert await told.say() == {("a",): 5}
    assert await told.say(measured("r1", 1, at=1), is_whole=True) == {("a",): 1}, "r2 is gone"


async def test_use_that_was_measured_long_ago_is_not_shown_also_when_it_is_told_again():
    told = Usage()
    stuck = measured("r1", 1, at=1)
    assert await told.say(stuck, measured("r2", 2, at=1)) == {("a",): 3}
    for at in (2, 3, 4):
        assert await told.say(measured("r2", 2, at=at)) == {("a",): 3}
    assert await told.say(measured("r2", 2, at=5)) == {("a",): 2}
    assert await told.say(stuck, measured("r2", 2, at=6), is_whole=True) == {("a",): 2}
    assert await told.say(measured("r1", 1, at=7)) == {("a",): 3}


async def test_what_is_measured_no_more_is_shown_no_more():
    await Shown(Away()).publish(batch(Kind.USAGE, interval_s=0, usage=(usage("a", "r1", cpu_cores=0.5),)))
    assert shown("specstream.deployment.cpu") == {}


async def test_what_is_in_flight_is_as_it_was_until_it_is_told_again():
    publisher = Shown(Away())

    async def say(*in_flight: tuple[str, int], is_whole: bool = False) -> dict[tuple[str, ...], float]:
        some = tuple(RequestsInFlight(deployment_id=name, in_flight=count) for name, count in in_flight)
        await publisher.publish(batch(Kind.IN_FLIGHT, in_flight=some, is_whole=is_whole))
        return shown("specstream.deployment.in_flight")

    assert await say(("a", 2), ("b", 1), is_whole=True) == {("a",): 2, ("b",): 1}
    assert await say(("a", 0)) == {("a",): 0, ("b",): 1}
    assert await say(("b", 3), is_whole=True) == {("b",): 3}
