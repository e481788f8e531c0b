"""How many replicas a deployment needs that scales by requests in flight."""

from dataclasses import replace

import pytest

from libs.common.scaling.concurrency import ConcurrencyMemory
from libs.common.scaling.in_flight import InFlightMemory, InFlightPolicy, decide_in_flight
from libs.common.scaling.replicas import Bounds

NOW = 1_000_000.0
TEN = InFlightPolicy(target=10)


def decided(in_flight, *, current, ready=None, bounds=(1, 10), policy=TEN, memory=None, at=0.0, **others):
    return decide_in_flight(
        policy,
        bounds=Bounds(*bounds),
        current=current,
        stable=in_flight,
        panic=in_flight,
        ready=current if ready is None else ready,
        memory=memory or InFlightMemory(),
        now=NOW + at,
        **others,
    )


@pytest.mark.parametrize(
    ("in_flight", "current", "bounds", "needed", "replicas"),
    [
        pytest.param(25, 1, (1, 10), 4, 4, id="25 / (10 x 0.7) = 3.6, rounded up"),
        pytest.param(7, 1, (1, 10), 1, 1, id="exactly one"),
        pytest.param(7.1, 1, (1, 10), 2, 2, id="a little more than one"),
        pytest.param(1000, 1, (1, 10), 10, 10, id="the maximum"),
        pytest.param(0, 4, (2, 10), 2, 4, id="down waits for its delay"),
        pytest.param(0, 0, (0, 10), 0, 0, id="nothing is needed"),
        pytest.param(0.1, 0, (0, 10), 1, 1, id="the first is needed"),
        pytest.param(None, 4, (1, 10), None, 4, id="nothing is known"),
        pytest.param(7, 40, (1, 10), 1, 10, id="the number in force is within the bounds"),
    ],
)
def test_the_first_decision(in_flight, current, bounds, needed, replicas):
    decision = decided(in_flight, current=current, bounds=bounds)
    assert (decision.needed, decision.replicas) == (needed, replicas)
    assert decision.concurrency.spare_capacity == 0


def test_the_need_is_not_slowed_down_by_the_published_rate():
    memory = InFlightMemory(last_step=NOW - 900)
    assert decided(0, current=9, memory=memory).replicas == 5


def test_a_burst_is_kept_for_a_window():
    memory = decided(70, current=2).memory
    assert memory.concurrency.panicking_since == NOW
    later = decided(0, current=10, memory=memory, at=60)
    assert (later.needed, later.memory.last_step) == (10, None)
    after = decided(0, current=10, memory=later.memory, at=61)
    assert (after.needed, after.replicas, after.memory.last_step) == (1, 10, NOW + 61)


def test_unknown_begins_the_delay_anew():
    memory = InFlightMemory(last_step=NOW - 899)
    held = decided(None, current=8, memory=memory)
    assert held.replicas == 8
    assert decided(0, current=8, memory=held.memory, at=2).replicas == 8


def test_nothing_falls_while_a_new_run_comes_up():
    memory = InFlightMemory(last_step=NOW - 900)
    decision = decided(0, current=8, memory=memory, is_rolling_out=True)
    assert (decision.replicas, decision.memory.last_step) == (8, None)
    assert decided(70, current=8, memory=memory, is_rolling_out=True).replicas == 10


def test_the_defaults_and_what_they_are_in_the_published_algorithm():
    policy = InFlightPolicy()
    assert (policy.target, policy.target_utilization_percent) == (1, 70)
    assert (policy.window_s, policy.panic_window_s) == (60, 6)
    assert (policy.scale_down_delay_s, policy.max_scale_down_rate_percent) == (900, 50)
    assert (policy.published.target, policy.published.total) == (0.7, 1)
    assert InFlightMemory().concurrency == ConcurrencyMemory()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"target": 0}, "target is 0: it must be 1 to inf"),
        ({"target_utilization_percent": 101}, "target_utilization_percent is 101: it must be 1 to 100"),
        ({"window_s": 9}, "window_s is 9: it must be 10 to 3600"),
        ({"scale_down_delay_s": 3601}, "scale_down_delay_s is 3601: it must be 0 to 3600"),
        ({"max_scale_down_rate_percent": 51}, "max_scale_down_rate_percent is 51: it must be 1 to 50"),
    ],
)
def test_what_is_outside_its_range_is_refused(changed, told):
    with pytest.raises(ValueError, match=told):
        replace(TEN, **changed)
