"""From samples to minutes: when they begin and end, and the requests in them."""

import pytest

from libs.common.metrics.samples import Kind, RequestsInFlight
from services.api.points.minutes import DeploymentPoint
from tests.unit.api.points.stream import Stream


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
    stream = Stream(taken=3)
    stream.requests(60, whole=True, a=100, b=1)
    stream.requests(100, a=150)
    stream.usage(110, r=1.0)
    stream.requests(121, a=151)
    assert answered(stream.finished()) == {2: {"a": 1.0}}
    assert stream.minutes[0].replicas == {}


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


def test_what_comes_after_its_minute_was_over_counts_in_the_next_one():
    """As after a connection that was cut for some minutes, or for the rest of one."""
    stream = Stream()
    stream.requests(10, whole=True, a=1)
    stream.finished(65)
    stream.finished(240)
    stream.requests(50, a=5)
    stream.requests(70, a=6)
    stream.requests(130, a=8)
    assert answered(stream.finished()) == {0: {}, 1: {"a": 5.0}, 2: {"a": 2.0}}


def test_a_minute_after_one_that_was_over_is_not_there_without_measurement():
    stream = Stream()
    stream.requests(10, whole=True, a=1)
    stream.finished(60)
    stream.finished(240)
    stream.requests(300, a=2)
    assert [minute.number for minute in stream.finished()] == [0, 5]


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
        in_flight=0.0,
        in_flight_most=0.0,
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
            stream.send(at + 3, source="edge-2", kind=Kind.IN_FLIGHT)
    last = stream.gathering.finish(180)
    assert last is not None
    first, silent, last = *stream.minutes, last
    assert [minute.has_requests for minute in (first, silent, last)] == [True, False, True]
    assert (first.deployments["d"].answered, first.deployments["d"].in_flight) == (20, 2)
    unknown = silent.deployments.get("d", DeploymentPoint())
    assert (unknown.answered, unknown.in_flight, unknown.in_flight_most) == (None, None, None)
    assert silent.counted["d"][0] == 65 - 10
    # A total goes on: what was counted in the silence is told after it.
    assert last.deployments["d"].answered == 65 + 120


def test_what_its_source_no_longer_tells_of_is_forgotten_and_would_begin_at_0():
    stream = Stream()
    stream.requests(10, whole=True, a=100, gone=7)
    for at in (70, 130):
        stream.requests(at, whole=True, a=100)
    assert stream.gathering._counters["edge"].totals.keys() == {"a"}
    stream.requests(190, a=100, gone=2)
    assert answered(stream.finished())[3] == {"gone": 2.0}


def test_what_one_whole_batch_lacks_is_remembered_still():
    """As of a router that was killed, until it has looked at all counters of its Envoy."""
    stream = Stream()
    stream.requests(10, whole=True, a=100, b=7)
    stream.requests(70, whole=True, a=100)
    stream.requests(75, b=9)
    stream.requests(130, whole=True, a=100, b=9)
    stream.requests(190, whole=True, a=100)
    stream.requests(191, b=10)
    assert answered(stream.finished()) == {0: {}, 1: {"b": 2.0}, 2: {}, 3: {"b": 1.0}}


def test_only_all_parts_of_a_whole_batch_tell_what_is_gone():
    stream = Stream()
    stream.requests(10, whole=True, a=1, b=1)
    for at in (70, 130, 190):
        stream.requests(at, whole=True, part=1, parts=2, a=1)
    assert stream.gathering._counters["edge"].totals.keys() == {"a", "b"}
    for at in (250, 310):
        stream.requests(at, whole=True, part=1, parts=2, a=1)
        stream.number -= 1
        stream.requests(at, whole=True, part=2, parts=2, c=1)
    assert stream.gathering._counters["edge"].totals.keys() == {"a", "c"}
