"""What recent recommendations hold back; the published cases, and the edge of each window."""

import pytest

from libs.common.scaling.conditions import Reason
from libs.common.scaling.stabilising import Recommendation, stabilise, stabilise_down

NOW = 1_000_000.0

READY = Reason.READY_FOR_NEW_SCALE
UP = Reason.SCALE_UP_STABILIZED
DOWN = Reason.SCALE_DOWN_STABILIZED


def recommended(*pairs):
    """Pairs of a number and its age in seconds."""
    return tuple(Recommendation(replicas, NOW - age_s) for replicas, age_s in pairs)


@pytest.mark.parametrize(
    ("past", "desired", "expected", "kept"),
    [
        pytest.param([], 5, (5, READY), [5], id="nothing before"),
        pytest.param([(4, 120), (5, 60)], 3, (5, DOWN), [4, 5, 3], id="held at the highest"),
        pytest.param([(1, 120), (2, 60)], 3, (3, READY), [1, 2, 3], id="higher than all: free"),
        pytest.param([(10, 600), (9, 540)], 3, (3, READY), [3], id="old ones do not count"),
        pytest.param([(10, 600), (4, 60), (5, 120), (9, 540)], 3, (5, DOWN), [4, 5, 3], id="some are old"),
        pytest.param([(9, 300)], 3, (9, DOWN), [9, 3], id="of exactly the window's age counts"),
        pytest.param([(9, 300.1)], 3, (3, READY), [3], id="older than the window"),
    ],
)
def test_without_behavior(past, desired, expected, kept):
    stabilised = stabilise_down(desired, recommended(*past), window_s=300, now=NOW)
    assert (stabilised.replicas, stabilised.reason) == expected
    assert [one.replicas for one in stabilised.kept] == kept
    assert stabilised.kept[-1] == Recommendation(desired, NOW)


@pytest.mark.parametrize(
    ("past", "current", "desired", "windows", "expected"),
    [
        pytest.param([], 100, 5, (0, 0), (5, READY), id="nothing before, down"),
        pytest.param([(4, 120), (5, 60)], 100, 3, (0, 180), (5, DOWN), id="down to the highest"),
        pytest.param([(4, 120), (5, 60)], 1, 7, (300, 0), (4, UP), id="up to the lowest"),
        pytest.param([(1, 120), (2, 60)], 100, 3, (300, 0), (3, READY), id="no window down"),
        pytest.param([(4, 120), (5, 60)], 1, 3, (0, 300), (3, READY), id="no window up"),
        pytest.param([(10, 600), (9, 540)], 100, 3, (0, 0), (3, READY), id="old ones, down"),
        pytest.param([(10, 600), (9, 540)], 1, 100, (0, 0), (100, READY), id="old ones, up"),
        pytest.param(
            [(10, 600), (4, 60), (5, 120), (9, 540)], 100, 3, (0, 180), (5, DOWN), id="some are old, down"
        ),
        pytest.param(
            [(10, 6000), (6, 60), (5, 120), (9, 180)], 1, 100, (300, 0), (5, UP), id="some are old, up"
        ),
        pytest.param([(2, 6000), (3, 180)], 2, 1, (300, 300), (2, DOWN), id="both windows: no turn up"),
        pytest.param([(2, 6000), (1, 180)], 2, 3, (300, 300), (2, UP), id="both windows: no turn down"),
        pytest.param([(9, 300)], 9, 3, (0, 300), (3, READY), id="of exactly the window's age is out"),
        pytest.param([(9, 299.9)], 9, 3, (0, 300), (9, DOWN), id="just within"),
        pytest.param([(9, 60)], 4, 3, (0, 300), (4, DOWN), id="never up because of recommendations"),
        pytest.param([(1, 60)], 4, 5, (300, 0), (4, UP), id="never down because of recommendations"),
        pytest.param([(1, 60), (9, 30)], 4, 4, (300, 300), (4, READY), id="no change is asked for"),
    ],
)
def test_with_behavior(past, current, desired, windows, expected):
    up_s, down_s = windows
    stabilised = stabilise(
        current, desired, recommended(*past), up_window_s=up_s, down_window_s=down_s, now=NOW
    )
    assert (stabilised.replicas, stabilised.reason) == expected
    within = [replicas for replicas, age_s in past if age_s <= max(up_s, down_s)]
    assert [one.replicas for one in stabilised.kept] == [*within, desired]


def test_the_recommendation_that_decides_is_told():
    past = recommended((5, 120), (5, 60), (4, 30))
    held = stabilise(9, 3, past, up_window_s=0, down_window_s=300, now=NOW)
    assert held.deciding == Recommendation(5, NOW - 60)
    assert stabilise_down(3, past, window_s=300, now=NOW).deciding == Recommendation(5, NOW - 60)
    assert stabilise(9, 7, past, up_window_s=0, down_window_s=300, now=NOW).deciding is None
    between = stabilise(4, 3, recommended((9, 60)), up_window_s=0, down_window_s=300, now=NOW)
    assert between.deciding is None
