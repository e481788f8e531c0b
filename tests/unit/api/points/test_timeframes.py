"""What an answer shows of the points."""

import pytest

from services.api.points.store import Found
from services.api.points.tables import DEPLOYMENT, REPLICA
from services.api.points.timeframes import (
    WINDOWS,
    durations,
    per_second,
    percentages,
    requests_by_minute,
    totals,
)

NOW = 29_000_160
HOUR, HALF_DAY = WINDOWS["hour"], WINDOWS["12_hours"]


def requests(**by_minute):
    points = tuple(
        (NOW + int(at[1:]), 1, (answered, 1.0 if answered is not None else None, 0.0, duration))
        for at, (answered, duration) in by_minute.items()
    )
    return [Found(DEPLOYMENT, "d", "", -1, points)] if points else []


def replica(*points):
    return Found(REPLICA, "d", "r", -1, tuple((NOW + at, 1, values) for at, values in points))


@pytest.mark.parametrize(
    ("timeframe", "length", "step"),
    [
        ("hour", 60, 1),
        ("12_hours", 720, 10),
        ("day", 1440, 15),
        ("1_week", 10080, 120),
        ("2_weeks", 20160, 240),
    ],
)
@pytest.mark.parametrize("now", [NOW, NOW + 1, NOW + 7, NOW + 239])
def test_a_timeframe_has_whole_steps_up_to_now(timeframe, length, step, now):
    window = WINDOWS[timeframe]
    assert (window.length, window.step) == (length, step)
    first = window.first(now)
    assert first % step == 0
    assert now - length <= first < now - length + step


def test_the_requests_of_a_step_are_summed_and_0_where_they_were_counted():
    known = requests_by_minute(requests(_0=(10.0, 1e6), _3=(20.0, 1e6)), range(NOW, NOW + 12))
    assert totals(known, HALF_DAY, NOW) == [(NOW, 32.0), (NOW + 10, 0.0)]
    assert totals(known, HOUR, NOW)[:5] == [
        (NOW, 11.0),
        (NOW + 1, 0.0),
        (NOW + 2, 0.0),
        (NOW + 3, 21.0),
        (NOW + 4, 0.0),
    ]


def test_what_was_not_measured_is_left_out():
    known = requests_by_minute(requests(_0=(10.0, 1e6), _1=(None, None)), [NOW, NOW + 1, NOW + 3])
    assert totals(known, HOUR, NOW) == [(NOW, 11.0), (NOW + 3, 0.0)]
    assert totals(requests_by_minute([], []), HOUR, NOW) == []


def test_a_rate_is_over_what_was_measured():
    known = requests_by_minute(requests(_0=(59.0, 0.0)), [NOW, NOW + 1])
    assert per_second(known, HALF_DAY, NOW) == [(NOW, 0.5)]


def test_a_duration_is_of_the_last_minutes_by_the_requests_that_were_answered():
    known = requests_by_minute(requests(_0=(1.0, 4e6), _4=(3.0, 0.0), _9=(1.0, 2e6)), range(NOW, NOW + 10))
    one = dict(durations(known, HOUR, NOW, 1))
    five = dict(durations(known, HOUR, NOW, 5))
    assert (one[NOW], one[NOW + 1], one[NOW + 4]) == (4.0, 0.0, 0.0)
    assert (five[NOW], five[NOW + 4], five[NOW + 8], five[NOW + 9]) == (4.0, 1.0, 0.0, 2.0)
    assert durations(known, HALF_DAY, NOW, 5) == [(NOW, 6 / 5)]


def test_a_percentage_is_of_the_replicas_own_machine():
    found = replica((0, (0.5, 2**29, 2.0, 1.0)), (1, (2.0, 2**30, 2.0, 1.0)), (2, (1.0, 5.0, None, None)))
    assert percentages(found, HOUR, NOW, of_memory=False) == [(NOW, 25.0), (NOW + 1, 100.0)]
    assert percentages(found, HALF_DAY, NOW, of_memory=True) == [(NOW, 75.0)]


def test_a_use_that_is_not_known_is_left_out():
    found = replica((0, (None, 2**29, 2.0, 1.0)), (1, (0.0, None, 2.0, 1.0)))
    assert percentages(found, HOUR, NOW, of_memory=False) == [(NOW + 1, 0.0)]
