"""The load of a deployment at a time, from samples as they were recorded."""

import pytest

from libs.common.autoscaling.recorded import Load, loads
from libs.common.metrics.port import Received
from libs.common.metrics.samples import Batch, Kind, ReplicaUsage, RequestsInFlight, RequestTotals
from libs.common.spec.model import Autoscaling

BY_CONCURRENCY = Autoscaling.model_validate(
    {"maxReplicas": 9, "concurrency": {"target": 1, "windowSeconds": 30}}
)
BY_DURATION = Autoscaling.model_validate(
    {"maxReplicas": 9, "metrics": [{"metric": "requestDuration", "value": 1}]}
)
BY_CPU = Autoscaling.model_validate({"maxReplicas": 9, "metrics": [{"metric": "cpu", "value": 50}]})


class Recorded:
    """What METRICS holds; every batch in one part."""

    def __init__(self) -> None:
        self.received: list[Received] = []

    def send(self, kind: Kind, at: float, source: str, **content) -> None:
        number = len(self.received) + 1
        every_s = {Kind.USAGE: 15, Kind.REQUESTS: 5, Kind.IN_FLIGHT: 1}[kind]
        base = {"counter_id": "c", "number": number, "interval_s": every_s, "ended_at": at, "is_whole": True}
        batch = Batch.model_validate({"kind": kind, "source": source, **base, **content})
        self.received.append(Received(batch, at, number))

    def carry(self, at: float, source: str = "edge", **in_flight: float) -> None:
        told = [RequestsInFlight(deployment_id=name, in_flight=each) for name, each in in_flight.items()]
        self.send(Kind.IN_FLIGHT, at, source, in_flight=told)

    def count(self, at: float, source: str = "edge", **answered: int) -> None:
        totals = [
            RequestTotals(deployment_id=name, answered=each, duration_us=each)
            for name, each in answered.items()
        ]
        self.send(Kind.REQUESTS, at, source, requests=totals)

    def use(self, at: float, *, window_s: float = 15, **cores: float) -> None:
        usage = [
            ReplicaUsage(
                deployment_id="d",
                replica_id=name,
                attempt=0,
                ended_at=at,
                window_s=window_s,
                cpu_cores=each,
            )
            for name, each in cores.items()
        ]
        self.send(Kind.USAGE, at, "health", usage=usage)

    def load(self, at: float, policy: Autoscaling, *, expected: tuple[str, ...] = ()) -> Load:
        received = sorted(self.received, key=lambda one: one.stored_at)
        (found,) = loads(received, "d", policy, times=[at], request_window_s=60, expected=expected)
        return found

    def in_flight(self, at: float, *, expected: tuple[str, ...] = ()) -> float | None:
        return self.load(at, BY_CONCURRENCY, expected=expected).averages.stable


def test_what_is_in_no_report_is_not_in_flight():
    recorded = Recorded()
    for at in range(100, 160):
        recorded.carry(at, **({"d": 6} if at < 115 else {}), other=1)
    assert recorded.in_flight(119) == pytest.approx(6 * 15 / 20)
    assert recorded.in_flight(159) == 0


def test_nothing_is_in_flight_of_what_a_router_does_not_ask_about():
    recorded = Recorded()
    for at in range(100, 160):
        recorded.carry(at, d=6 if at < 145 else 0)
    for at in range(100, 300, 5):
        recorded.count(at + 0.5, d=3)
    # The 6 pass through the window as if there were still reports.
    assert recorded.in_flight(165.6) == pytest.approx(6 * 9 / 30, rel=0.1)
    assert [recorded.in_flight(at) for at in (180, 200, 237, 299)] == [0] * 4


def test_nobody_knows_what_is_in_flight_after_a_call_before_it_is_reported():
    recorded = Recorded()
    for at in range(100, 200, 5):
        recorded.count(at, d=3 if at < 150 else 4)
    for at in range(170, 200):
        recorded.carry(at, d=2)
    assert [recorded.in_flight(at) for at in (148, 168, 199)] == [0, None, 2]


def test_nobody_knows_how_many_are_left_where_reports_end_with_some():
    recorded = Recorded()
    for at in range(100, 110):
        recorded.carry(at, d=2)
    for at in range(100, 200, 5):
        recorded.count(at, d=3)
    assert [recorded.in_flight(at) for at in (109, 130, 199)] == [2, None, None]


def test_nobody_knows_what_is_in_flight_while_no_requests_are_counted():
    recorded = Recorded()
    for at in (*range(100, 130, 5), *range(200, 230, 5)):
        recorded.count(at, d=3)
    assert [recorded.in_flight(at) for at in (129, 160, 199, 212)] == [0, None, None, 0]


def test_the_load_of_an_edge_that_is_silent_is_unknown():
    recorded = Recorded()
    for at in range(100, 300):
        recorded.carry(at, d=2)
        if at < 150 or at >= 250:
            recorded.carry(at, "edge-2", d=1)
    for at in range(100, 300, 5):
        recorded.count(at, d=at)
        if at < 150 or at >= 250:
            recorded.count(at, "edge-2", d=at)
    edges = ("edge", "edge-2")
    assert [recorded.in_flight(at, expected=edges) for at in (149, 240, 295)] == [3, None, 3]
    durations = [recorded.load(at, BY_DURATION, expected=edges).duration for at in (149, 240, 295)]
    assert [one is None for one in durations] == [False, True, False]


def test_an_edge_that_does_not_carry_a_deployment_carries_nothing_of_it():
    recorded = Recorded()
    for at in range(100, 160):
        recorded.carry(at, d=2)
    for at in range(100, 160, 5):
        recorded.count(at, "edge-2", other=at)
    assert recorded.in_flight(159, expected=("edge", "edge-2")) == 2


@pytest.mark.parametrize("window_s", [10, 15, 20, 60])
def test_one_that_is_not_in_the_newest_batch_counts_for_one_and_a_half_windows(window_s):
    """Its source may be slow; a window is at least an interval."""
    recorded = Recorded()
    recorded.use(100, window_s=window_s, slow=1.0, other=1.0)
    for at in range(115, 220, 15):
        recorded.use(at, window_s=window_s, other=1.0)
    counts_s = 1.5 * max(15, window_s)
    found = [recorded.load(100 + age_s, BY_CPU).cpu_cores for age_s in (16, counts_s, counts_s + 1)]
    assert found == [2, 2, 1]
