"""How far one decision may go; the published cases of rates, periods and bounds."""

import pytest

from libs.common.scaling.behavior import (
    Behavior,
    Rate,
    RateType,
    Select,
    scale_down_rules,
    scale_up_rules,
)
from libs.common.scaling.conditions import Reason
from libs.common.scaling.limiting import (
    Allowed,
    Change,
    Limited,
    allowed_down,
    allowed_up,
    limit,
    limit_without_behavior,
)
from libs.common.scaling.replicas import Bounds, Sample

NOW = 1_000_000.0

WITHIN = Reason.DESIRED_WITHIN_RANGE
TOO_FEW, TOO_MANY = Reason.TOO_FEW_REPLICAS, Reason.TOO_MANY_REPLICAS
UP_LIMIT, DOWN_LIMIT = Reason.SCALE_UP_LIMIT, Reason.SCALE_DOWN_LIMIT


def pods(value, period_s=60):
    return Rate(RateType.PODS, value, period_s)


def percent(value, period_s=60):
    return Rate(RateType.PERCENT, value, period_s)


def spread(sizes, sign=1):
    """Changes in the middle of equal parts of the last two minutes."""
    part = 120 / len(sizes)
    return [Change(sign * size, NOW - (120 - part * (index + 0.5))) for index, size in enumerate(sizes)]


def ups(*sizes):
    return spread(sizes)


def downs(*sizes):
    return spread(sizes, -1)


def limited(current, desired, bounds, *, up=(), down=(), changes=()):
    behavior = Behavior(
        scale_up_rules(rates=tuple(up)) if up else scale_up_rules(),
        scale_down_rules(rates=tuple(down)) if down else scale_down_rules(),
    )
    found = limit(current, desired, bounds=Bounds(*bounds), behavior=behavior, changes=changes, now=NOW)
    return found.replicas, found.reason


@pytest.mark.parametrize(
    ("current", "desired", "bounds", "expected"),
    [
        pytest.param(5, 7, (3, 8), (7, WITHIN), id="within"),
        pytest.param(3, 1, (2, 8), (2, TOO_FEW), id="below the minimum"),
        pytest.param(1, 0, (0, 10), (0, WITHIN), id="0 is within, with a minimum of 0"),
        pytest.param(20, 1000, (1, 10), (10, TOO_MANY), id="above the maximum"),
        pytest.param(3, 1000, (1, 2000), (6, UP_LIMIT), id="at most twice as many"),
        pytest.param(1, 1000, (1, 2000), (4, UP_LIMIT), id="or 4"),
        pytest.param(2, 1000, (1, 2000), (4, UP_LIMIT), id="4 is twice 2"),
        pytest.param(0, 1000, (0, 2000), (4, UP_LIMIT), id="4 from 0"),
        pytest.param(3, 1000, (1, 6), (6, TOO_MANY), id="twice as many is the maximum"),
        pytest.param(1000, 3, (1, 2000), (3, WITHIN), id="down without limit"),
        pytest.param(3, 6, (1, 2000), (6, WITHIN), id="exactly twice as many"),
        pytest.param(3, 5, (1, 5), (5, WITHIN), id="exactly the maximum"),
        pytest.param(3, 2, (2, 5), (2, WITHIN), id="exactly the minimum"),
    ],
)
def test_without_behavior(current, desired, bounds, expected):
    found = limit_without_behavior(current, desired, bounds=Bounds(*bounds))
    assert (found.replicas, found.reason) == expected
    assert found.is_limited == (expected[1] is not WITHIN)


@pytest.mark.parametrize(
    ("current", "desired", "bounds", "expected"),
    [
        pytest.param(5, 7, (3, 8), (7, WITHIN), id="within"),
        pytest.param(3, 1, (2, 8), (2, TOO_FEW), id="below the minimum"),
        pytest.param(1, 0, (0, 10), (0, WITHIN), id="0 is within, with a minimum of 0"),
        pytest.param(20, 1000, (1, 10), (10, TOO_MANY), id="above the maximum, from above it"),
        pytest.param(100, 1000, (100, 150), (150, TOO_MANY), id="above the maximum"),
        pytest.param(10, 50, (1, 1000), (20, UP_LIMIT), id="twice as many"),
        pytest.param(1, 50, (1, 1000), (5, UP_LIMIT), id="4 more"),
        pytest.param(4, 50, (1, 1000), (8, UP_LIMIT), id="both are the same"),
        pytest.param(0, 50, (0, 1000), (4, UP_LIMIT), id="4 from 0"),
        pytest.param(1000, 3, (1, 2000), (3, WITHIN), id="down without limit"),
        pytest.param(4, 4, (1, 8), (4, WITHIN), id="no change"),
        pytest.param(12, 12, (1, 10), (12, WITHIN), id="no change, above the maximum"),
        pytest.param(1, 1, (2, 10), (1, WITHIN), id="no change, below the minimum"),
        pytest.param(5, 10, (1, 10), (10, WITHIN), id="exactly the maximum"),
        pytest.param(5, 2, (2, 10), (2, WITHIN), id="exactly the minimum"),
        pytest.param(5, 10, (1, 20), (10, WITHIN), id="exactly twice as many"),
    ],
)
def test_the_default_behavior(current, desired, bounds, expected):
    assert limited(current, desired, bounds) == expected


@pytest.mark.parametrize(
    ("up", "current", "desired", "most", "expected"),
    [
        pytest.param([percent(1)], 3, 1000, 2000, (4, UP_LIMIT), id="1 % of 3 is one: rounded up"),
        pytest.param([pods(100), percent(100)], 10, 500, 1000, (110, UP_LIMIT), id="the larger: pods"),
        pytest.param([pods(2), percent(100)], 10, 500, 1000, (20, UP_LIMIT), id="the larger: percent"),
        pytest.param([pods(100)], 10, 50, 1000, (50, WITHIN), id="pods allow it"),
        pytest.param([pods(10000)], 10, 50, 1000, (50, WITHIN), id="pods allow anything"),
        pytest.param([pods(30)], 10, 50, 1000, (40, UP_LIMIT), id="pods cut"),
        pytest.param([percent(200)], 10, 50, 1000, (30, UP_LIMIT), id="percent cut"),
        pytest.param([percent(700)], 3, 60, 100, (24, UP_LIMIT), id="700 % of 3"),
        pytest.param([percent(700)], 3, 60, 20, (20, TOO_MANY), id="700 % of 3, above the maximum"),
    ],
)
def test_rates_up(up, current, desired, most, expected):
    assert limited(current, desired, (1, most), up=up) == expected


@pytest.mark.parametrize(
    ("up", "changes", "current", "desired", "expected"),
    [
        pytest.param([pods(300)], ups(1, 5, 9), 100, 500, (200, TOO_MANY), id="pods, the maximum cuts"),
        pytest.param([percent(10000)], ups(1, 5, 9), 100, 500, (200, TOO_MANY), id="percent, the same"),
        pytest.param([pods(5, 120)], ups(1, 5, 9), 100, 150, (100, UP_LIMIT), id="used up: stays"),
        pytest.param([pods(50, 120)], ups(1, 5, 9), 100, 150, (135, UP_LIMIT), id="85 + 50"),
        pytest.param([percent(50, 120)], ups(1, 5, 9), 100, 150, (128, UP_LIMIT), id="85 + 50 %, rounded up"),
        pytest.param([percent(300, 300)], [*ups(4), *downs(2)], 6, 24, (16, UP_LIMIT), id="4 + 300 %"),
        pytest.param([pods(1000)], ups(8, 12, 9, 11), 100, 200, (200, WITHIN), id="half of them are old"),
        pytest.param(
            [pods(1000, 120), percent(100)], ups(8, 12, 9, 11), 100, 200, (200, WITHIN), id="two periods"
        ),
        pytest.param(
            [pods(1000, 30), percent(100)],
            ups(8, 12, 9, 11),
            100,
            200,
            (200, WITHIN),
            id="two shorter periods",
        ),
        pytest.param(
            [pods(10)], [Change(5, NOW - 60)], 20, 50, (30, UP_LIMIT), id="exactly a period ago is out"
        ),
        pytest.param([pods(10)], [Change(5, NOW - 59)], 20, 50, (25, UP_LIMIT), id="within the period"),
    ],
)
def test_rates_up_after_changes(up, changes, current, desired, expected):
    assert limited(current, desired, (1, 200), up=up, changes=changes) == expected


@pytest.mark.parametrize(
    ("up", "expected"),
    [
        pytest.param([pods(150, 120)], (235, UP_LIMIT), id="100 - 15 + 150"),
        pytest.param([percent(200, 120)], (255, UP_LIMIT), id="(100 - 15) + 200 %"),
        pytest.param([pods(5, 120)], (100, UP_LIMIT), id="100 - 15 + 5 is below the present number"),
    ],
)
def test_rates_up_after_changes_far_from_the_maximum(up, expected):
    assert limited(100, 500, (1, 1000), up=up, changes=ups(1, 5, 9)) == expected


@pytest.mark.parametrize(
    ("down", "current", "desired", "least", "expected"),
    [
        pytest.param([pods(20)], 1000, 3, 3, (980, DOWN_LIMIT), id="20 of 1000"),
        pytest.param([pods(20), percent(1)], 100, 2, 1, (80, DOWN_LIMIT), id="the larger: pods"),
        pytest.param([pods(2), percent(1)], 100, 2, 1, (98, DOWN_LIMIT), id="the larger: pods again"),
        pytest.param([pods(2), percent(50)], 100, 2, 1, (50, DOWN_LIMIT), id="the larger: percent"),
        pytest.param([pods(100)], 10, 0, 1, (1, TOO_FEW), id="the minimum cuts, pods"),
        pytest.param([percent(100)], 10, 2, 5, (5, TOO_FEW), id="the minimum cuts, percent"),
        pytest.param([pods(5)], 10, 2, 1, (5, DOWN_LIMIT), id="pods cut"),
        pytest.param([percent(50)], 10, 5, 1, (5, WITHIN), id="percent allow it"),
        pytest.param([percent(50)], 5, 1, 1, (2, DOWN_LIMIT), id="half of 5 leaves 2: rounded down"),
        pytest.param([percent(10)], 5, 1, 1, (4, DOWN_LIMIT), id="10 % of 5 leaves 4: rounded down"),
    ],
)
def test_rates_down(down, current, desired, least, expected):
    assert limited(current, desired, (least, 2000), down=down) == expected


@pytest.mark.parametrize(
    ("down", "changes", "desired", "least", "expected"),
    [
        pytest.param([pods(115, 120)], downs(1, 5, 9), 0, 1, (1, TOO_FEW), id="115 - 115: the minimum"),
        pytest.param([pods(130, 120)], downs(1, 5, 9), 0, 5, (5, TOO_FEW), id="115 - 130: the minimum"),
        pytest.param([percent(100, 120)], downs(1, 5, 9), 2, 5, (5, TOO_FEW), id="100 %: the minimum"),
        pytest.param([pods(5, 120)], downs(1, 5, 9), 2, 1, (100, DOWN_LIMIT), id="used up: stays"),
        pytest.param([pods(20, 120)], downs(1, 5, 9), 2, 1, (95, DOWN_LIMIT), id="115 - 20"),
        pytest.param([percent(50, 120)], downs(2, 4, 6), 0, 1, (56, DOWN_LIMIT), id="112 - 50 %"),
        pytest.param([percent(10, 120)], downs(10, 10, 10), 0, 1, (100, DOWN_LIMIT), id="130 - 10 %: stays"),
        pytest.param([pods(1000)], downs(8, 12, 9, 11), 5, 1, (5, WITHIN), id="half of them are old"),
        pytest.param(
            [pods(1000, 120), percent(100)], downs(8, 12, 9, 11), 5, 1, (5, WITHIN), id="two periods"
        ),
        pytest.param(
            [pods(1000, 30), percent(100)], downs(8, 12, 9, 11), 5, 1, (5, WITHIN), id="two shorter"
        ),
    ],
)
def test_rates_down_after_changes(down, changes, desired, least, expected):
    assert limited(100, desired, (least, 1000), down=down, changes=changes) == expected


@pytest.mark.parametrize(
    ("down", "changes", "desired", "expected"),
    [
        pytest.param([], downs(1, 5, 9), 5, (5, WITHIN), id="the default rate allows all"),
        pytest.param([percent(50, 180)], [*ups(2), *downs(4)], 1, (6, DOWN_LIMIT), id="12 - 50 %"),
        pytest.param([percent(1000, 120)], downs(10, 10, 10), 5, (5, WITHIN), id="far below 0"),
    ],
)
def test_rates_down_of_ten(down, changes, desired, expected):
    assert limited(10, desired, (1, 1000), down=down, changes=changes) == expected


@pytest.mark.parametrize(
    ("select", "up", "down"),
    [
        pytest.param(Select.MAX, 15, 5, id="the largest change"),
        pytest.param(Select.MIN, 12, 8, id="the smallest change"),
        pytest.param(Select.DISABLED, 10, 10, id="no change"),
    ],
)
def test_which_rate_decides(select, up, down):
    rates = (pods(2), percent(50))
    up_rules = scale_up_rules(rates=rates, select=select)
    down_rules = scale_down_rules(rates=rates, select=select)
    assert allowed_up(10, [], up_rules, now=NOW).replicas == up
    assert allowed_down(10, [], down_rules, now=NOW).replicas == down


def test_published_limits_with_the_smallest_change():
    rates = (pods(2), percent(50))
    assert allowed_up(1, [], scale_up_rules(rates=rates, select=Select.MIN), now=NOW) == Allowed(
        2, rates[1], 1
    )
    assert allowed_down(5, [], scale_down_rules(rates=rates, select=Select.MIN), now=NOW) == Allowed(
        3, rates[0], 5
    )


def test_a_disabled_direction_stays_and_the_other_goes_on():
    behavior = Behavior(scale_down=scale_down_rules(select=Select.DISABLED))
    bounds = Bounds(1, 10)
    stays = limit(5, 1, bounds=bounds, behavior=behavior, changes=(), now=NOW)
    assert stays == Limited(5, Reason.SCALE_DOWN_LIMIT, Allowed(5))
    goes = limit(5, 7, bounds=bounds, behavior=behavior, changes=(), now=NOW)
    assert goes == Limited(7, Reason.DESIRED_WITHIN_RANGE)
    behavior = Behavior(scale_up=scale_up_rules(select=Select.DISABLED))
    assert limit(5, 7, bounds=bounds, behavior=behavior, changes=(), now=NOW) == Limited(
        5, UP_LIMIT, Allowed(5)
    )


def test_the_rate_that_cuts_is_told_with_what_it_began_with():
    behavior = Behavior(scale_up_rules(rates=(pods(2), percent(10, 30))))
    changes = [Change(1, NOW - 40), Change(2, NOW - 20), Change(-1, NOW - 10)]
    found = limit(10, 50, bounds=Bounds(1, 100), behavior=behavior, changes=changes, now=NOW)
    assert found == Limited(10, UP_LIMIT, Allowed(10, pods(2), 8))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: pods(0), "value is 0: it must be at least 1"),
        (lambda: pods(1, 0), "period_s is 0: it must be 1 to 1800"),
        (lambda: pods(1, 1801), "period_s is 1801: it must be 1 to 1800"),
        (lambda: scale_up_rules(window_s=3601), "window_s is 3601: it must be 0 to 3600"),
        (lambda: scale_down_rules(window_s=-1), "window_s is -1: it must be 0 to 3600"),
        (lambda: scale_up_rules(rates=()), "rates is empty: at least 1 is needed"),
        (lambda: scale_up_rules(tolerance=-0.1), "tolerance is -0.1: it must be at least 0"),
        (lambda: Sample(-1), "milli is -1: it must be at least 0"),
        (lambda: Bounds(3, 2), "bounds 3 to 2: 0 <= minimum <= maximum must hold"),
        (lambda: Bounds(-1, 2), "bounds -1 to 2: 0 <= minimum <= maximum must hold"),
    ],
)
def test_what_is_outside_its_range_is_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()
