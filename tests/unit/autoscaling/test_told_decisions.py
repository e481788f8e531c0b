"""A decision told as a fact: made again from that alone it is the same, and its sentence ends with it."""

from hypothesis import assume, given
from hypothesis import strategies as st

from libs.common.autoscaling.sentence import sentence_of
from libs.common.autoscaling.told import Told, tell_hpa, tell_in_flight
from libs.common.events.catalogue import encode
from libs.common.events.scaling import LimitedTo, MetricName, ReplicasDecided, StabilisedTo
from libs.common.scaling.behavior import RateType
from libs.common.scaling.concurrency import ConcurrencyMemory
from libs.common.scaling.conditions import Reason
from libs.common.scaling.hpa_policy import HpaPolicy
from libs.common.scaling.in_flight import InFlightMemory, InFlightPolicy, decide_in_flight
from libs.common.scaling.replicas import Bounds
from libs.common.spec.model import (
    Autoscaling,
    ScalingBehavior,
    ScalingConcurrency,
    ScalingDirection,
    ScalingMetric,
    ScalingRate,
)
from libs.common.spec.scaling_policy import policy_of
from tests.support.decided_again import decided_again
from tests.support.strategies import autoscalings
from tests.unit.autoscaling.by_hand import check_by_hand
from tests.unit.autoscaling.told import cpu, fact
from tests.unit.scaling.test_properties import NOW, decided, numbers, situations

MOST_BYTES = 4096


def check(told: ReplicasDecided) -> None:
    assert decided_again(told) == told.to_replicas
    said = sentence_of(told)
    assert said.endswith(f" → {told.to_replicas}")
    check_by_hand(said, Bounds(told.floor, max(told.floor, told.policy.max_replicas)))
    assert len(encode(told)) <= MOST_BYTES
    stored = ReplicasDecided.model_validate_json(encode(told))
    assert decided_again(stored) == stored.to_replicas


@given(policy=autoscalings(), situation=situations(), current=numbers)
def test_by_metrics(policy, situation, current):
    rules = policy_of(policy)
    assume(isinstance(rules, HpaPolicy))
    floor = situation["bounds"].minimum
    bounds = Bounds(floor, max(floor, policy.max_replicas))
    situation = {**situation, "policy": rules, "bounds": bounds, "current": current}
    decision = decided(situation)
    told = tell_hpa(rules, decision, situation["measured"], now=NOW)
    check(
        fact(
            policy,
            told,
            before=current,
            after=decision.replicas,
            floor=floor,
            reason=decision.cause,
            is_rolling_out=situation["is_rolling_out"],
        )
    )


loads = st.floats(0, 500)
ages = st.none() | st.floats(0, 2000)


small_policies = st.builds(
    Autoscaling,
    max_replicas=st.integers(1, 20),
    concurrency=st.builds(
        ScalingConcurrency,
        target=st.integers(1, 20),
        target_utilization_percentage=st.integers(1, 100),
        scale_down_delay_seconds=st.integers(0, 900),
    ),
)
"""Under which every step is taken at times: a burst, a bound, a step down."""


@given(
    policy=autoscalings() | small_policies,
    loads=st.tuples(loads, loads),
    floor=st.integers(1, 5),
    current=st.integers(1, 20),
    ready=st.integers(0, 20),
    panicking_for_s=ages,
    most=st.integers(0, 20),
    step_age_s=ages,
    is_rolling_out=st.booleans(),
)
def test_by_requests_in_flight(  # noqa: PLR0917 - hypothesis gives each by its name
    policy, loads, floor, current, ready, panicking_for_s, most, step_age_s, is_rolling_out
):
    rules = policy_of(policy)
    assume(isinstance(rules, InFlightPolicy))
    bounds = Bounds(floor, max(floor, policy.max_replicas))
    current = bounds.clamp(current)
    before = InFlightMemory(
        ConcurrencyMemory(None if panicking_for_s is None else NOW - panicking_for_s, most),
        None if step_age_s is None else NOW - step_age_s,
    )
    decision = decide_in_flight(
        rules,
        bounds=bounds,
        current=current,
        stable=loads[0],
        panic=loads[1],
        ready=ready,
        memory=before,
        now=NOW,
        is_rolling_out=is_rolling_out,
    )
    told = tell_in_flight(decision, stable=loads[0], panic=loads[1], ready=ready, before=before, now=NOW)
    check(
        fact(
            policy,
            told,
            before=current,
            after=decision.replicas,
            floor=floor,
            is_rolling_out=is_rolling_out,
        )
    )


def test_the_longest_fact_has_room_in_4_kib():
    rates = tuple(ScalingRate(type="Percent", value=2_147_483_647, period_seconds=1800) for _ in range(10))
    direction = ScalingDirection(
        stabilization_window_seconds=3600, select_policy="Disabled", policies=rates, tolerance=1 / 3
    )
    metrics = tuple(ScalingMetric(metric=name, value=100 / 3) for name in MetricName)
    policy = Autoscaling(
        max_replicas=1000,
        metrics=metrics,
        behavior=ScalingBehavior(scale_up=direction, scale_down=direction),
    )
    outcomes = tuple(
        cpu(
            100 / 3,
            1000,
            metric=name,
            counted_ratio=1 / 3,
            unready=1000,
            missing=1000,
            window_s=100 / 3,
            age_s=100 / 3,
            is_held=True,
        )
        for name in MetricName
    )
    longest = fact(
        policy,
        Told(
            outcomes,
            MetricName.REQUEST_DURATION,
            StabilisedTo(
                replicas=1000,
                reason=Reason.SCALE_DOWN_STABILIZED,
                deciding_replicas=1000,
                deciding_age_s=100 / 3,
            ),
            LimitedTo(
                replicas=1000,
                reason=Reason.SCALE_DOWN_LIMIT,
                rate_type=RateType.PERCENT,
                rate_value=2_147_483_647,
                rate_period_s=1800,
                began_with=1000,
            ),
        ),
        before=1000,
        after=1000,
        floor=1000,
        is_rolling_out=True,
    )
    assert len(encode(longest)) <= MOST_BYTES
