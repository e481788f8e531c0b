"""What batches come to: which of them count, when they were received, and sums over several sources."""

from datetime import timedelta

import pytest

from libs.common.autoscaling.batches import Batches
from libs.common.autoscaling.in_flight_loads import Averages, InFlightLoads
from libs.common.autoscaling.request_counts import RequestCounts
from libs.common.events.replica import Replica, ReplicaState
from libs.common.metrics.samples import Batch, Kind, RequestsInFlight, RequestTotals
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.stabilising import Recommendation
from services.autoscaler.memory import KeptMemory, Memory, that_matter
from services.autoscaler.receipts import Receipts
from services.autoscaler.replicas_seen import ReplicasSeen
from tests.support.scaling_story import BORN


def batch(number: int, *, kind: Kind = Kind.REQUESTS, source: str = "e1", **content) -> Batch:
    usual = {"counter_id": "c", "interval_s": 5, "ended_at": number, "is_whole": True}
    return Batch.model_validate({"kind": kind, "source": source, "number": number, **usual, **content})


def totals(number: int, answered: int, duration_us: int = 0, **content) -> Batch:
    one = RequestTotals(deployment_id="d", answered=answered, duration_us=duration_us)
    return batch(number, requests=(one,), **content)


def flying(number: int, in_flight: float | None, **content) -> Batch:
    some = () if in_flight is None else (RequestsInFlight(deployment_id="d", in_flight=in_flight),)
    return batch(number, **{"kind": Kind.IN_FLIGHT, "in_flight": some, "interval_s": 1, **content})


@pytest.mark.parametrize(
    ("then", "counts"),
    [
        pytest.param(batch(11), True, id="the next"),
        pytest.param(batch(10), False, id="the same again"),
        pytest.param(batch(10, part=2, parts=2), True, id="another part of it"),
        pytest.param(batch(9), False, id="one that is late"),
        pytest.param(batch(1, ended_at=11), True, id="its source has started again"),
        pytest.param(batch(1, ended_at=11, is_whole=False), False, id="which begins with a whole one"),
        pytest.param(batch(1, counter_id="c2"), True, id="another counter"),
        pytest.param(batch(1, source="e2"), True, id="another source"),
        pytest.param(batch(1, kind=Kind.USAGE), True, id="another kind"),
    ],
)
def test_which_batches_count(then, counts):
    batches = Batches()
    assert batches.take(batch(10), at=0)
    assert batches.take(then, at=1) is counts
    assert batches.dropped == (not counts)


def test_after_a_minute_of_nothing_a_whole_one_counts_whatever_its_clock_says():
    batches = Batches()
    assert batches.take(batch(10, ended_at=3600), at=0)
    assert not batches.take(batch(1, ended_at=0), at=30)
    assert batches.take(batch(2, ended_at=5), at=61)
    assert batches.take(batch(3, ended_at=10, is_whole=False), at=66)


@pytest.mark.parametrize("step_s", [0, 3600, -3600])
def test_a_message_that_waited_while_the_process_was_paused_is_as_old_as_it_is(step_s):
    receipts = Receipts()
    assert receipts.live(1000.0, now=50.0) == 50.0
    # Paused for a minute; four messages have come meanwhile. The time of day may have been set before them.
    found = [receipts.live(1000.0 + step_s + 15 * n, now=110.0) for n in (1, 2, 3, 4)]
    expected = {0: [65, 80, 95, 110], 3600: [110] * 4, -3600: [50, 65, 80, 95]}
    assert found == expected[step_s]


def test_a_time_of_day_that_is_set_moves_a_message_by_an_interval_at_most():
    receipts, now = Receipts(), 0.0
    for stored_at in (0.0, 15.0, 3630.0, 3645.0, 45.0, 60.0):
        at = receipts.live(stored_at, now=now)
        assert now - at <= 15
        now += 15


def test_what_was_stored_before_anybody_listened_is_as_old_as_the_time_of_day_says():
    receipts = Receipts()
    assert receipts.stored(100.0, now=50.0, wall=130.0) == 20.0
    assert receipts.stored(200.0, now=50.0, wall=130.0) == 50.0


def test_totals_of_several_sources_are_summed_over_the_window():
    counts = RequestCounts(60)
    for source in ("e1", "e2"):
        counts.take(totals(1, 1000, 5_000_000, source=source), at=0, wanted={"d"})
    for number in range(2, 30):
        for source in ("e1", "e2"):
            one = totals(number, 1000 + number, 5_000_000 + number * 10, source=source)
            counts.take(one, at=number * 5 - 5, wanted={"d"})
    measured = counts.measured("d", now=140)
    assert (measured.answered, measured.sum_us, measured.measured_s) == (2 * 12, 2 * 120, 140)


def test_a_source_that_starts_to_number_anew_costs_no_count():
    counts = RequestCounts(60)
    counts.take(totals(1, 100), at=0, wanted={"d"})
    counts.take(totals(2, 110), at=5, wanted={"d"})
    counts.take(totals(1, 125), at=10, wanted={"d"})
    assert counts.measured("d", now=10).answered == 25


def test_one_of_several_that_is_silent_makes_the_sum_unknown_until_it_is_gone():
    counts = RequestCounts(60)
    for source in ("e1", "e2"):
        counts.take(totals(1, 0, source=source), at=0, wanted={"d"})
    for number in range(2, 30):
        at = number * 5 - 5
        counts.take(totals(number, number), at=at, wanted={"d"})
        assert (counts.measured("d", now=at) is None) == (15 < at <= 60)


def test_a_deployment_that_is_asked_about_later_is_measured_from_then_on():
    counts = RequestCounts(60)
    counts.take(totals(1, 1000), at=0, wanted=())
    counts.take(totals(2, 2000), at=5, wanted=())
    counts.take(totals(3, 2010), at=10, wanted={"d"})
    measured = counts.measured("d", now=10)
    assert (measured.answered, measured.measured_s) == (10, 0)


def test_what_is_in_flight_is_summed_over_sources_second_by_second():
    loads = InFlightLoads()
    for number in range(1, 61):
        for source in ("e1", "e2"):
            loads.take(flying(number, 2.0, source=source), at=number, windows={"d": 60})
    found = loads.averages("d", window_s=60, panic_window_s=6, now=60)
    assert found == Averages(4.0, 4.0)


def test_what_is_not_in_a_batch_is_as_before_and_unknown_after_one_that_was_missed():
    loads, windows = InFlightLoads(), {"d": 60.0}
    loads.take(flying(1, 3.0), at=1, windows=windows)
    for number in range(2, 11):
        loads.take(flying(number, None, is_whole=False), at=number, windows=windows)
    assert loads.averages("d", window_s=60, panic_window_s=6, now=10) == Averages(3.0, 3.0)
    loads.take(flying(12, None, is_whole=False), at=12, windows=windows)
    assert loads.averages("d", window_s=60, panic_window_s=6, now=13.5) == Averages()


def test_the_windows_end_with_the_newest_report_while_its_source_is_not_silent():
    """The shortest panic window is one second, and a report is a second old before the next one comes."""
    loads = InFlightLoads()
    for number in range(1, 21):
        loads.take(flying(number, 5.0 if number < 15 else 0.0), at=float(number), windows={"d": 10.0})
    for now in (20.0, 20.9, 21.5, 22.9):
        found = loads.averages("d", window_s=10, panic_window_s=1, now=now)
        assert found == Averages(2.0, 0.0), now
    assert loads.averages("d", window_s=10, panic_window_s=1, now=23.1) == Averages()


def test_a_window_that_becomes_longer_knows_no_more_than_what_was_kept():
    """What a shorter one had no use for is gone, which is not a time without requests."""
    loads = InFlightLoads()
    for number in range(1, 301):
        loads.take(flying(number, 6.0), at=float(number), windows={"d": 10.0})
        for window_s in (10, 600):
            found = loads.averages("d", window_s=window_s, panic_window_s=window_s / 10, now=float(number))
            assert found == Averages(6.0, 6.0), (number, window_s)


def test_a_report_that_comes_late_leaves_no_hole_and_a_slow_source_none_either():
    loads = InFlightLoads()
    for number, at in enumerate((1.0, 2.9, 3.1, 4.9, 5.2), start=1):
        loads.take(flying(number, 5.0), at=at, windows={"d": 60})
    assert loads.averages("d", window_s=60, panic_window_s=6, now=5.5).stable == 5.0
    slow = InFlightLoads()
    for number in range(1, 7):
        slow.take(flying(number, 5.0, interval_s=10), at=10.0 * number, windows={"d": 60})
    assert slow.averages("d", window_s=60, panic_window_s=6, now=60).stable == 5.0


def replica(state: ReplicaState, **changes) -> Replica:
    usual = {"replica_id": "r", "run_id": "run", "spec_id": "s", "state": state, "created_at": BORN}
    return Replica(**{**usual, "started_at": BORN, **changes})


def test_news_of_replicas_counts_from_when_it_was_heard_of():
    seen = ReplicasSeen()
    seen.note("d", [replica(ReplicaState.STARTING)], now=100)
    seen.note("d", [replica(ReplicaState.RUNNING)], now=107)
    one = seen.of("d")["r"]
    assert (one.started_at, one.is_ready, one.ready_changed_at) == (100, True, 107)
    seen.note("d", [replica(ReplicaState.STARTING, attempt=1)], now=200)
    one = seen.of("d")["r"]
    assert (one.started_at, one.is_ready, one.ready_changed_at) == (200, False, 200)


def test_what_was_there_before_is_as_old_as_the_time_of_day_says_and_never_from_the_future():
    old = replica(ReplicaState.RUNNING, ready_at=BORN + timedelta(seconds=10))
    seen = ReplicasSeen()
    seen.note("d", [old], now=1000, wall=BORN + timedelta(seconds=60))
    assert (seen.of("d")["r"].started_at, seen.of("d")["r"].ready_changed_at) == (940, 950)
    seen = ReplicasSeen()
    seen.note("d", [old], now=1000, wall=BORN - timedelta(hours=1))
    assert (seen.of("d")["r"].started_at, seen.of("d")["r"].ready_changed_at) == (1000, 1000)


def test_only_recommendations_that_can_still_decide_are_kept_and_come_back_no_older():
    past = [Recommendation(number, at) for at, number in enumerate((5, 9, 3, 4, 8, 6, 6, 7))]
    assert [one.replicas for one in that_matter(past)] == [9, 3, 4, 8, 6, 7]
    memory = Memory("s", HpaMemory(tuple(past), (), 300.0))
    kept = KeptMemory.model_validate_json(KeptMemory.of(memory, now=10).model_dump_json())
    read = kept.read("s", now=1000).hpa
    assert [(one.replicas, one.at) for one in read.recommendations] == [
        (9, 991),
        (3, 992),
        (4, 993),
        (8, 994),
        (6, 996),
        (7, 997),
    ]
    assert read.kept_s == 300.0


def test_totals_of_what_its_source_no_longer_tells_of_are_forgotten():
    """Of those that nobody asks about too; it may be missing in one whole batch while a router starts."""
    counts = RequestCounts(60)
    for number in range(3):
        assert counts.take(totals(number, 5), at=number, wanted=set()) == set()
    assert counts._sources["e1"].totals.keys() == {"d"}
    for number in (3, 4):
        assert counts._sources["e1"].totals.keys() == {"d"}
        counts.take(batch(number), at=number, wanted=set())
    assert counts._sources["e1"].totals.keys() == set()
