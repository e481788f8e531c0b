"""The decision of Knative's KPA; the published cases and stories."""

from dataclasses import replace

import pytest

from libs.common.scaling.concurrency import (
    ConcurrencyMemory,
    ConcurrencyPolicy,
    begun,
    decide_concurrency,
)

NOW = 1_700_000_000.0
STABLE_WINDOW_S = 60.0
UTILIZATION = 0.75

STABLE = ConcurrencyMemory(most_in_panic=1)
"""Of one that began with one replica."""


def published(target, burst, **others):
    return ConcurrencyPolicy(
        target=target,
        total=target / UTILIZATION,
        stable_window_s=STABLE_WINDOW_S,
        target_burst_capacity=burst,
        panic_threshold=2,
        **{"max_scale_up_rate": 10, "max_scale_down_rate": 10, **others},
    )


def spare(target, burst, in_flight, ready):
    return int((target / UTILIZATION * ready - burst - in_flight) // 1)


def decided(policy, stable, panic, *, ready=1, memory=STABLE, at=0.0):
    return decide_concurrency(policy, stable=stable, panic=panic, ready=ready, memory=memory, now=NOW + at)


PANICKING = ConcurrencyMemory(panicking_since=NOW - 5, most_in_panic=5)


@pytest.mark.parametrize(
    ("policy", "averages", "ready", "memory", "replicas"),
    [
        pytest.param(published(10, 100), (0, 0), 1, STABLE, 0, id="nothing in flight"),
        pytest.param(published(181, -1), (21, 26), 1, STABLE, 1, id="burst without limit"),
        pytest.param(published(10, 0), (50, 49), 1, STABLE, 5, id="no burst"),
        pytest.param(published(10, 100), (50, 50), 1, STABLE, 5, id="stable"),
        pytest.param(published(1, 100), (50, 30), 5, PANICKING, 50, id="panicking, stable wants more"),
        pytest.param(published(1, 100), (20, 30), 5, PANICKING, 30, id="panicking, panic wants more"),
        pytest.param(published(10, 100), (50, 50), 5, STABLE, 5, id="enough already"),
        pytest.param(
            published(1, 1982, max_scale_up_rate=1.1),
            (3, 3.1),
            2,
            STABLE,
            3,
            id="a small rate up: at least one",
        ),
        pytest.param(
            published(10, 1982, max_scale_down_rate=1.1), (1, 1), 100, STABLE, 90, id="a small rate down"
        ),
        pytest.param(
            published(10, 1982, max_scale_down_rate=1.1, is_reachable=False),
            (1, 1),
            100,
            STABLE,
            1,
            id="not reachable: no rate down",
        ),
        pytest.param(published(10, 84), (50, 100), 1, STABLE, 10, id="panic begins: its window counts"),
        pytest.param(published(10, 101), (50, 10), 1, STABLE, 5, id="stable, the panic window is lower"),
        pytest.param(published(10, 101), (100, 10), 1, STABLE, 10, id="stable, twice the load"),
        pytest.param(published(10, 98), (100, 100), 8, STABLE, 10, id="stable, up"),
        pytest.param(published(10, 98), (50, 50), 8, STABLE, 5, id="stable, down"),
        pytest.param(published(10, 75), (1, 0), 1, STABLE, 1, id="almost nothing in flight"),
        pytest.param(published(10, 61), (1000, 1001), 1, STABLE, 10, id="at most ten times as many"),
        pytest.param(published(10, 61), (1000, 1001), 10, STABLE, 100, id="ten times as many again"),
        pytest.param(published(10, 61), (1, 1), 100, STABLE, 10, id="at least a tenth"),
        pytest.param(published(10, 61), (1, 1), 10, STABLE, 1, id="a tenth again"),
        pytest.param(published(10, 81), (1000, 888), 0, STABLE, 10, id="none ready counts as one"),
        pytest.param(published(10, 75, activation_scale=2), (0, 0), 1, STABLE, 0, id="idle: not activated"),
        pytest.param(published(10, 75, activation_scale=2), (1, 0), 1, STABLE, 2, id="activated"),
        pytest.param(published(10, 75, activation_scale=2), (90, 0), 1, STABLE, 9, id="above activation"),
        pytest.param(published(7, 0), (25, 25), 4, STABLE, 4, id="25 / (10 x 0.7), rounded up"),
    ],
)
def test_published_cases(policy, averages, ready, memory, replicas):
    decision = decided(policy, *averages, ready=ready, memory=memory)
    assert decision.is_valid
    assert decision.replicas == replicas
    burst = policy.target_burst_capacity
    expected = {0: 0, -1: -1}.get(burst, spare(policy.target, burst, averages[1], ready))
    assert decision.spare_capacity == expected


@pytest.mark.parametrize(
    ("stable", "panic", "ready"),
    [
        (None, 5, 1),
        (5, None, 1),
        (None, None, 1),
        (1000, 888, None),
        (float("nan"), 5, 1),
        (5, float("inf"), 1),
    ],
)
def test_nothing_known_is_nothing_decided(stable, panic, ready):
    decision = decided(published(10, 100), stable, panic, ready=ready, memory=PANICKING)
    assert (decision.is_valid, decision.replicas, decision.spare_capacity) == (False, None, 0)
    assert decision.memory == PANICKING


def told(policy, *rows, memory=STABLE):
    """Rows of (stable, panic, ready, seconds, replicas, panicking since): one decision after the other."""
    for stable, panic, ready, at, replicas, since in rows:
        decision = decided(policy, stable, panic, ready=ready, memory=memory, at=at)
        panicking = decision.panicking_since
        assert (decision.replicas, None if panicking is None else panicking - NOW) == (replicas, since)
        memory = decision.memory
    return memory


def test_panic_ends_after_a_slow_increase():
    memory = told(
        published(1, 98),
        (11, 25, 10, 0, 25, 0),
        (30, 41, 40, 30, 41, 0),
        (50, 56, 55, 62, 50, None),
    )
    assert memory.most_in_panic == 0


def test_panic_goes_on_while_the_threshold_is_reached():
    told(published(1, 98), (11, 25, 10, 0, 25, 0), (30, 80, 40, 30, 80, 30))


def test_panic_lasts_for_a_whole_stable_window_and_not_a_moment_more():
    policy = published(10, 93)
    told(policy, (100, 1000, 10, 0, 100, 0), (1, 1, 10, 60, 100, 0), (1, 1, 10, 60.1, 1, None))


def test_a_load_that_grows_and_grows():
    told(
        published(1, 101),
        (6, 6, 1, 0, 6, 0),
        (36, 36, 6, 0, 36, 0),
        (216, 216, 36, 1, 216, 1),
        (1296, 1296, 216, 1, 1296, 1),
        (1296, 1296, 1296, 2, 1296, 1),
    )


def test_panic_and_back():
    told(
        published(10, 93),
        (100, 100, 1, 0, 10, 0),
        (100, 1000, 10, 0, 100, 0),
        (1, 1, 10, 30, 100, 0),
        (1, 1, 10, 61, 1, None),
    )


def test_a_target_that_changes():
    memory = told(published(10, 77), (100, 101, 1, 0, 10, 0))
    told(published(1, 71, is_reachable=False), (100, 101, 10, 0, 100, 0), memory=memory)


@pytest.mark.parametrize(
    ("ready", "since", "most"), [(None, None, 0), (0, None, 0), (1, None, 1), (2, NOW, 2), (9, NOW, 9)]
)
def test_without_memory_it_begins_in_panic_with_more_than_one(ready, since, most):
    memory = begun(ready, now=NOW)
    assert (memory.panicking_since, memory.most_in_panic) == (since, most)


def test_after_a_restart_nothing_falls_for_a_stable_window():
    told(
        published(10, 0),
        (0, 0, 9, 0, 9, 0),
        (0, 0, 9, 60, 9, 0),
        (0, 0, 9, 62, 0, None),
        memory=begun(9, now=NOW),
    )


MINUTE = 60


def delayed(**others):
    return ConcurrencyPolicy(
        10,
        10,
        0.0,
        target_burst_capacity=0,
        max_scale_up_rate=10,
        max_scale_down_rate=10,
        panic_threshold=100,
        **{"scale_down_delay_s": 5 * MINUTE, **others},
    )


def scaled(policy, *rows, memory=None):
    """Rows of (in flight, seconds, replicas)."""
    memory = memory or ConcurrencyMemory()
    for in_flight, at, replicas in rows:
        decision = decided(policy, in_flight, in_flight, ready=0, memory=memory, at=at)
        assert decision.replicas == replicas, f"after {at} s"
        memory = decision.memory
    return memory


def test_a_scale_down_waits_for_its_delay():
    memory = scaled(delayed(), (40, 2, 4), (0, 5 * MINUTE, 4), (0, 5 * MINUTE + 2, 0))
    scaled(
        delayed(),
        (40, 9 * MINUTE, 4),
        (30, 10 * MINUTE, 4),
        (0, 11 * MINUTE, 4),
        (0, 14 * MINUTE, 3),
        (0, 15 * MINUTE, 0),
        memory=memory,
    )


def test_nobody_waits_for_what_is_not_reachable():
    memory = scaled(delayed(), (40, 2, 4), (0, MINUTE, 4))
    scaled(delayed(is_reachable=False), (0, 2, 0), memory=memory)


def test_without_delay_the_newest_counts():
    scaled(delayed(scale_down_delay_s=0, is_reachable=False), (40, 0, 4), (20, 0.5, 2))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"target": 0}, "target is 0: it must be a number above 0"),
        ({"max_scale_up_rate": 0.9}, "max_scale_up_rate is 0.9: it must be at least 1"),
        ({"max_scale_down_rate": 0}, "max_scale_down_rate is 0: it must be at least 1"),
    ],
)
def test_what_is_outside_its_range_is_refused(changed, told):
    with pytest.raises(ValueError, match=told):
        replace(published(10, 0), **changed)
