"""Shown times never decrease, whatever times were stored, and are known from few step backs."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from libs.common.events.envelope import Recorded
from libs.common.log.timeline import StepBack, Timeline
from tests.support.strategies import EPOCH, recorded

stored_times = st.lists(st.integers(0, 12), max_size=40)
"""In seconds; small, so that many step back and many are the same."""


def moment(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def events_at(seconds: list[int]) -> list[Recorded]:
    return [
        replace(recorded(None, sequence, aggregate_id="a"), time=moment(second))
        for sequence, second in enumerate(seconds, 1)
    ]


@given(stored_times)
def test_an_event_is_shown_with_the_latest_time_up_to_it(seconds: list[int]):
    timeline = Timeline()
    taken = [timeline.take(event).time for event in events_at(seconds)]
    assert taken == [moment(second) for second in accumulate(seconds, max)]
    assert all(one <= other for one, other in pairwise(taken))
    assert [timeline.shown(event).time for event in events_at(seconds)] == taken
    assert [timeline.take(event).time for event in events_at(seconds)] == taken, "taking again is harmless"


@given(stored_times, st.integers(0, 40))
def test_what_was_stored_of_it_and_what_comes_later_are_enough(seconds: list[int], cut: int):
    events = events_at(seconds)
    whole, first = Timeline(), Timeline()
    for event in events:
        whole.take(event)
    for event in events[:cut]:
        first.take(event)
    again = Timeline(first.sequence, first.latest, first.step_backs())
    for event in events[cut:]:
        again.take(event)
    assert again.step_backs() == whole.step_backs()
    assert (again.sequence, again.latest) == (whole.sequence, whole.latest)


@given(stored_times, st.integers(0, 40))
def test_an_event_that_was_not_taken_yet_is_never_shown_too_late(seconds: list[int], cut: int):
    events = events_at(seconds)
    timeline = Timeline()
    for event in events[:cut]:
        timeline.take(event)
    early = [timeline.shown(event).time for event in events]
    exact = [timeline.take(event).time for event in events]
    assert all(one <= other for one, other in zip(early, exact, strict=True))
    assert early[:cut] == exact[:cut]


def test_there_are_as_many_step_backs_as_times_the_clock_was_set_back():
    timeline = Timeline()
    for event in events_at([1, 2, 9, 3, 4, 5, 9, 10, 8, 11]):
        timeline.take(event)
    assert timeline.step_backs() == [StepBack(4, 6, moment(9)), StepBack(9, 9, moment(10))]
    assert timeline.step_backs(after=6) == [StepBack(9, 9, moment(10))]
