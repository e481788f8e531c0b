"""Which changes the rates still count; the published cases for either direction."""

import pytest

from libs.common.scaling.behavior import Behavior, Rate, RateType, scale_down_rules, scale_up_rules
from libs.common.scaling.limiting import Change, remember_change

NOW = 1_000_000.0


def rules(pods_period_s, percent_period_s=None):
    rates = [Rate(RateType.PODS, 10, pods_period_s)]
    if percent_period_s is not None:
        rates.append(Rate(RateType.PERCENT, 100, percent_period_s))
    return tuple(rates)


CASES = [
    pytest.param([], None, [], id="without behavior nothing is remembered"),
    pytest.param([], rules(60, 60), [5], id="the first"),
    pytest.param([(7, 61)], None, [7], id="without behavior nothing is forgotten"),
    pytest.param([(7, 61)], rules(60, 60), [5], id="an old one is forgotten"),
    pytest.param([(7, 58)], rules(60, 60), [7, 5], id="a young one is kept"),
    pytest.param([(7, 60)], rules(60, 60), [7, 5], id="one of exactly the period is kept"),
    pytest.param([(7, 61), (6, 59)], rules(60), [6, 5], id="one of two is old"),
    pytest.param(
        [(8, 29), (6, 59), (7, 61), (9, 61)], rules(60, 30), [8, 6, 5], id="the longest period counts"
    ),
    pytest.param([(7, 58), (6, 59)], rules(120, 30), [7, 6, 5], id="both are young"),
]


@pytest.mark.parametrize("sign", [1, -1], ids=["up", "down"])
@pytest.mark.parametrize(("before", "rates", "kept"), CASES)
def test_published_cases(before, rates, kept, sign):
    behavior = rates and Behavior(scale_up_rules(rates=rates), scale_down_rules(rates=rates))
    changes = [Change(sign * by, NOW - age_s) for by, age_s in before]
    after = remember_change(changes, before=10, after=10 + sign * 5, behavior=behavior, now=NOW)
    assert [change.by for change in after] == [sign * by for by in kept]
    if behavior:
        assert after[-1] == Change(sign * 5, NOW)


def test_no_change_is_none():
    changes = (Change(7, NOW - 10), Change(3, NOW - 20))
    assert remember_change(changes, before=4, after=4, behavior=Behavior(), now=NOW) == changes[:1]


def test_a_change_is_kept_as_long_as_a_rate_of_the_other_direction_counts_it():
    behavior = Behavior(scale_up_rules(rates=(Rate(RateType.PODS, 4, 600),)))
    changes = (Change(-3, NOW - 500),)
    kept = remember_change(changes, before=4, after=5, behavior=behavior, now=NOW)
    assert kept == (Change(-3, NOW - 500), Change(1, NOW))
