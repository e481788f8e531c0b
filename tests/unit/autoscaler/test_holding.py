"""For how long a change is held back, and what a gap in deciding leaves remembered."""

import pytest

from libs.common.scaling.behavior import Behavior, Rate, RateType, scale_up_rules
from libs.common.scaling.concurrency import ConcurrencyMemory
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.in_flight import InFlightMemory
from libs.common.scaling.limiting import Change
from services.autoscaler.holding import held_for_s
from services.autoscaler.memory import panicked
from tests.unit.scaling.fleets import NOW
from tests.unit.scaling.test_hpa import cpu, decided


@pytest.mark.parametrize(
    ("ages_s", "expected_s"),
    [
        pytest.param((50,), 10, id="until it leaves the period"),
        pytest.param((50, 20), 10, id="until the oldest does"),
        pytest.param((70, 20), 40, id="one that has left it does not count"),
    ],
)
def test_a_rate_holds_until_the_oldest_change_that_it_counts_has_left_its_period(ages_s, expected_s):
    rates = (Rate(RateType.PODS, len([age for age in ages_s if age < 60]), 60),)
    policy = cpu(50, behavior=Behavior(scale_up=scale_up_rules(rates=rates)))
    before = HpaMemory((), tuple(Change(1, NOW - age) for age in ages_s))
    decision = decided(policy, "rrr", [1000] * 3, (1, 9), memory=before)
    assert decision.replicas == 3
    assert held_for_s(policy, decision, before, now=NOW) == expected_s


@pytest.mark.parametrize(
    ("before", "current", "expected"),
    [
        pytest.param((None, 0), 4, (NOW, 4), id="the number in force is needed from now on"),
        pytest.param((NOW - 9, 7), 4, (NOW, 7), id="more was needed in the panic before"),
        pytest.param((NOW - 9, 2), 4, (NOW, 4), id="less was needed in the panic before"),
        pytest.param((NOW - 9, 2), 1, (NOW - 9, 2), id="one replica begins no panic, and ends none"),
        pytest.param((None, 0), 1, (None, 0), id="one replica alone"),
    ],
)
def test_after_a_gap_no_less_is_needed_than_there_is(before, current, expected):
    memory = InFlightMemory(ConcurrencyMemory(*before))
    after = panicked(memory, current, now=NOW).concurrency
    assert (after.panicking_since, after.most_in_panic) == expected
