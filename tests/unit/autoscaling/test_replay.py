"""A policy tried on recorded minutes."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from libs.common.autoscaling.replay import Capacity, LoadMinute, minutes_above_target, replay
from libs.common.spec.model import (
    Autoscaling,
    ScalingBehavior,
    ScalingConcurrency,
    ScalingDirection,
    ScalingMetric,
    ScalingRate,
)

ONE_CORE = Capacity(cpus=1.0, memory_bytes=2.0**30)
CPU = ScalingMetric(metric="cpu", value=50)
BY_CPU = Autoscaling(max_replicas=8, metrics=(CPU,))
QUICK = ScalingBehavior(scale_down=ScalingDirection(stabilization_window_seconds=0))


def minutes(*loads: LoadMinute) -> list[LoadMinute]:
    """One after the other."""
    return [replace(load, at=60.0 * (number + 1)) for number, load in enumerate(loads)]


def cores(*values: float | None) -> list[LoadMinute]:
    return minutes(*(LoadMinute(0, cpu_cores=value) for value in values))


def tried(policy: Autoscaling, loads: list[LoadMinute], *, begin: int = 1, floor: int = 1) -> list[int]:
    return replay(policy, loads, floor=floor, begin=begin, capacity=ONE_CORE, request_window_s=300)


def test_load_is_shared_by_as_many_as_there_are_then():
    assert tried(BY_CPU, cores(0.4, 2.0, 2.0, 2.0)) == [1, 4, 4, 4]


def test_it_falls_when_the_window_is_over():
    numbers = tried(BY_CPU, cores(2.0, 2.0, *[0.5] * 8))
    assert numbers[:6] == [4, 4, 4, 4, 4, 4]
    assert numbers[-1] == 1


def test_rates_within_a_minute_are_kept():
    slow = ScalingDirection(policies=(ScalingRate(type="Pods", value=1, period_seconds=15),))
    policy = Autoscaling(max_replicas=8, metrics=(CPU,), behavior=ScalingBehavior(scale_up=slow))
    assert tried(policy, cores(4.0, 4.0, 4.0)) == [2, 6, 8]


def test_what_is_unknown_changes_nothing():
    policy = BY_CPU.model_copy(update={"behavior": QUICK})
    numbers = tried(policy, cores(2.0, *[None] * 10, 0.1, 0.1))
    assert numbers[:11] == [4] * 11
    assert numbers[-1] == 1


@pytest.mark.parametrize("enabled", [True, False])
def test_the_bounds_hold_from_the_beginning(enabled):
    policy = BY_CPU.model_copy(update={"max_replicas": 3, "enabled": enabled})
    numbers = tried(policy, cores(9.0, 9.0), begin=7, floor=2)
    assert numbers == ([3, 3] if enabled else [2, 2])
    assert tried(policy, [], begin=7) == []


def test_slow_requests_go_one_by_one_a_window_apart():
    policy = Autoscaling(max_replicas=8, metrics=(ScalingMetric(metric="requestDuration", value=0.15),))
    slow = minutes(*[LoadMinute(0, answered=100, duration_us=100 * 250_000)] * 16)
    numbers = tried(policy, slow)
    assert numbers == [1] * 4 + [2] * 5 + [4] * 5 + [7] * 2


def test_memory_is_as_each_replica_had_it():
    policy = Autoscaling(max_replicas=4, metrics=(ScalingMetric(metric="memory", value=50),))
    full = minutes(*[LoadMinute(0, memory_bytes=0.9 * 2**30)] * 4)
    assert tried(policy, full)[-1] == 4


def test_requests_in_flight_and_their_bursts():
    policy = Autoscaling(
        max_replicas=9,
        concurrency=ScalingConcurrency(target=10, scale_down_delay_seconds=120),
    )
    loads = minutes(
        LoadMinute(0, in_flight=5, in_flight_most=6),
        LoadMinute(0, in_flight=25, in_flight_most=26),
        LoadMinute(0, in_flight=5, in_flight_most=50),
        *[LoadMinute(0, in_flight=1, in_flight_most=2)] * 12,
    )
    numbers = tried(policy, loads)
    assert numbers[:2] == [1, 4]
    assert numbers[2] >= 4
    assert numbers[-1] == 1
    assert all(earlier - later <= max(1, earlier // 2) for earlier, later in pairwise(numbers))


def test_minutes_above_the_target_are_counted_by_the_number_of_their_time():
    loads = cores(0.4, 1.2, 1.2, None)
    assert minutes_above_target([1, 1, 3, 3], loads, BY_CPU, ONE_CORE) == 1
    assert minutes_above_target([1, 1, 3, 3], loads, BY_CPU, ONE_CORE, each_s=15) == 1
    assert minutes_above_target([], [], BY_CPU, ONE_CORE) == 0


def test_a_day_and_night_of_7_days_is_replayed_by_the_policy_that_made_it():
    """The same policy on the total that its own replicas used comes to the same numbers."""
    loads = cores(*(1.0 + math.sin(minute / 229) for minute in range(7 * 24 * 60)))
    first = tried(BY_CPU, loads)
    assert tried(BY_CPU, loads, begin=first[0]) == first
    assert {min(first), max(first)} == {1, 4}
