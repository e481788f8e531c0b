"""What a source says of each interval."""

import pytest

from libs.common.metrics.intervals import Intervals
from libs.common.metrics.parts import in_parts, read_part
from libs.common.metrics.samples import Batch, Kind, RequestTotals


def totals(**answered: int) -> list[RequestTotals]:
    return [RequestTotals(deployment_id=each, answered=number) for each, number in answered.items()]


def intervals() -> Intervals[RequestTotals]:
    return Intervals(Kind.REQUESTS, source="edge", counter_id="one")


def told(batch: Batch) -> dict[str, int]:
    return {one.deployment_id: one.answered for one in batch.requests}


def at(source: Intervals[RequestTotals], now: float, **answered: int) -> Batch:
    return source.next(totals(**answered), ended_at=1000 + now, interval_s=5, now=now)


def test_the_first_batch_is_whole_and_then_only_changes_are_told():
    source = intervals()
    first, second, third = at(source, 0, a=1, b=2), at(source, 5, a=1, b=3), at(source, 10, a=1, b=3, c=0)
    assert [batch.is_whole for batch in (first, second, third)] == [True, False, False]
    assert [told(batch) for batch in (first, second, third)] == [{"a": 1, "b": 2}, {"b": 3}, {"c": 0}]
    assert [batch.number for batch in (first, second, third)] == [1, 2, 3]


def test_an_interval_without_a_change_has_a_batch_without_samples():
    source = intervals()
    at(source, 0, a=1)
    batch = at(source, 5, a=1)
    assert (batch.requests, batch.ended_at, batch.interval_s) == ((), 1005, 5)


@pytest.mark.parametrize(("now", "is_whole"), [(59.9, False), (60, True), (61, True), (-1, True)])
def test_it_is_whole_once_a_minute(now, is_whole):
    source = intervals()
    at(source, 0, a=1)
    assert at(source, now, a=1).is_whole is is_whole


def test_after_counting_began_anew_everything_is_told():
    source = intervals()
    at(source, 0, a=1, b=1)
    source.count_anew("two")
    batch = at(source, 5, a=1)
    assert (batch.counter_id, batch.is_whole, told(batch)) == ("two", True, {"a": 1})
    source.count_anew("two")
    assert at(source, 10, a=1).is_whole is False


def test_what_was_away_for_an_interval_is_told_again():
    source = intervals()
    at(source, 0, a=1, b=1)
    at(source, 5, a=1)
    assert told(at(source, 10, a=1, b=1)) == {"b": 1}


@pytest.mark.parametrize("most_bytes", [200, 300, 1000, 10_000])
def test_parts_hold_everything_once_and_none_is_too_long(most_bytes):
    batch = at(intervals(), 0, **{f"d{number}": number for number in range(50)})
    messages = in_parts(batch, most_bytes=most_bytes)
    assert all(len(message) <= most_bytes for message in messages)
    read = [read_part("requests", "edge", message) for message in messages]
    assert [(part.part, part.parts) for part in read] == [
        (number + 1, len(read)) for number in range(len(read))
    ]
    assert tuple(one for part in read for one in part.requests) == batch.requests
    assert {part.is_whole for part in read} == {True}


def test_a_sample_that_does_not_fit_alone_is_refused():
    batch = at(intervals(), 0, **{"d" * 250: 1})
    with pytest.raises(ValueError, match="longer than 200 bytes"):
        in_parts(batch, most_bytes=200)
