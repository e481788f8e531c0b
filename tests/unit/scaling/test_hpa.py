"""The whole decision of the HorizontalPodAutoscaler; the published cases with their conditions."""

from dataclasses import replace

import pytest

from libs.common.scaling.behavior import Behavior, Rate, RateType, scale_down_rules, scale_up_rules
from libs.common.scaling.cause import Cause
from libs.common.scaling.conditions import ConditionType, Reason
from libs.common.scaling.hpa import decide_hpa
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.hpa_policy import DurationMetric, HpaPolicy, Measured, ResourceMetric
from libs.common.scaling.limiting import Change
from libs.common.scaling.proposals import Tolerance, Unknown
from libs.common.scaling.replicas import Bounds, Resource
from libs.common.scaling.request_duration import RequestDuration
from libs.common.scaling.stabilising import Recommendation
from tests.unit.scaling.fleets import (
    CPU_INITIALIZATION_S,
    INITIAL_READINESS_DELAY_S,
    NOW,
    fleet,
    samples,
)

NOTHING_RECOMMENDED = HpaMemory(recommendations=())

RESCALED = Reason.SUCCEEDED_RESCALE
READY = Reason.READY_FOR_NEW_SCALE
GOT = Reason.SUCCEEDED_GET_SCALE
FOUND = Reason.VALID_METRIC_FOUND
WITHIN = Reason.DESIRED_WITHIN_RANGE


def cpu(target, **others):
    return HpaPolicy(
        (ResourceMetric(Resource.CPU, target),),
        cpu_initialization_s=CPU_INITIALIZATION_S,
        initial_readiness_delay_s=INITIAL_READINESS_DELAY_S,
        **others,
    )


def decided(policy, kinds, levels, bounds, *, current=None, requests=None, memory=None, **others):
    return decide_hpa(
        policy,
        bounds=Bounds(*bounds),
        current=len(kinds) if current is None else current,
        replicas=fleet(kinds, requests=requests),
        measured=Measured({Resource.CPU: samples(*levels)}, duration=others.pop("duration", None)),
        memory=memory or NOTHING_RECOMMENDED,
        now=NOW,
        **others,
    )


def reasons(decision):
    conditions = decision.conditions
    return tuple(
        condition and condition.reason
        for condition in (conditions.able_to_scale, conditions.scaling_active, conditions.scaling_limited)
    )


SPREAD = [900, 1000, 1100]
TENTHS = [100, 100, 100]


@pytest.mark.parametrize(
    ("kinds", "levels", "target", "bounds", "expected"),
    [
        pytest.param("rrr", [300, 500, 700], 30, (2, 6), 5, id="up"),
        pytest.param("urr", [300, 500, 700], 30, (2, 6), 4, id="up less, one is unready"),
        pytest.param("hrr", [300, 500, 700], 30, (2, 6), 4, id="up less, one is hot"),
        pytest.param("rrrrr", [100, 300, 500, 250, 250], 50, (2, 6), 3, id="down"),
        pytest.param("rrruu", [100, 300, 500, 250, 250], 50, (2, 6), 2, id="down, two are unready"),
        pytest.param("rrrhh", [100, 300, 500, 250, 250], 50, (2, 6), 2, id="down, two are hot"),
        pytest.param("rrrr", [400, 95], 100, (2, 6), 3, id="down less, two are missing"),
        pytest.param("r", [1000], 50, (1, 5), 2, id="one becomes two"),
    ],
)
def test_a_change_within_the_range(kinds, levels, target, bounds, expected):
    decision = decided(cpu(target), kinds, levels, bounds)
    assert decision.replicas == expected
    assert reasons(decision) == (RESCALED, FOUND, WITHIN)
    up = expected > len(kinds)
    assert decision.cause is (Cause.METRIC_ABOVE_TARGET if up else Cause.ALL_METRICS_BELOW_TARGET)


@pytest.mark.parametrize(
    ("kinds", "current", "levels", "target", "bounds"),
    [
        pytest.param("ruu", 3, [400, 500, 700], 30, (2, 6), id="unready ones idle"),
        pytest.param("rhh", 3, [400, 500, 700], 30, (2, 6), id="hot ones idle"),
        pytest.param("rrr", 3, [1010, 1030, 1020], 100, (1, 5), id="within tolerance"),
        pytest.param("rr", 2, [500, 500], 50, (1, 5), id="on target"),
    ],
)
def test_no_change(kinds, current, levels, target, bounds):
    decision = decided(cpu(target), kinds, levels, bounds, current=current)
    assert (decision.replicas, decision.cause) == (current, Cause.UNCHANGED)
    assert reasons(decision) == (READY, FOUND, WITHIN)
    assert decision.memory.changes == ()


@pytest.mark.parametrize(
    ("kinds", "current", "levels", "bounds", "expected"),
    [
        pytest.param("rrff", 2, [450, 630], (2, 6), (2, WITHIN), id="failed ones do not count"),
        pytest.param("rrll", 2, [1350, 1350], (2, 6), (3, WITHIN), id="leaving ones do not count"),
        pytest.param("rrr", 3, [10, 95, 10], (2, 5), (2, Reason.TOO_FEW_REPLICAS), id="below the minimum"),
        pytest.param("rrr", 3, [0, 0, 0], (2, 5), (2, Reason.TOO_FEW_REPLICAS), id="idle, the minimum"),
        pytest.param("rrr", 3, [0, 0, 0], (0, 5), (0, WITHIN), id="idle, with a minimum of 0"),
        pytest.param("rrr", 3, [8000, 9500, 1000], (2, 5), (5, Reason.TOO_MANY_REPLICAS), id="maximum"),
        pytest.param(
            "rrr", 3, [8000, 9500, 1000], (2, 50), (6, Reason.SCALE_UP_LIMIT), id="at most twice as many"
        ),
        pytest.param("r", 4, [900], (1, 5), (4, WITHIN), id="one of four is known, and on target"),
        pytest.param("r", 4, [1800], (1, 5), (2, WITHIN), id="one of four is known: by that one"),
    ],
)
def test_without_behavior(kinds, current, levels, bounds, expected):
    decision = decided(cpu(90), kinds, levels, bounds, current=current)
    assert (decision.replicas, reasons(decision)[2]) == expected
    assert decision.conditions.scaling_limited.is_true == (expected[1] is not WITHIN)


def up_by_percent(value):
    return Behavior(scale_up_rules(rates=(Rate(RateType.PERCENT, value, 60),)))


@pytest.mark.parametrize(
    ("most", "expected", "limited"),
    [(100, 24, Reason.SCALE_UP_LIMIT), (20, 20, Reason.TOO_MANY_REPLICAS)],
)
def test_a_rate_of_700_percent(most, expected, limited):
    policy = cpu(10, behavior=up_by_percent(700))
    decision = decided(policy, "rrr", [100, 200, 300], (1, most), requests=TENTHS)
    assert decision.replicas == expected
    assert reasons(decision) == (RESCALED, FOUND, limited)
    assert decision.memory.changes == (Change(expected - 3, NOW),)


def test_down_with_behavior():
    policy = cpu(50, behavior=Behavior(scale_up_rules(window_s=30)))
    assert decided(policy, "rrrrr", [100, 300, 500, 250, 250], (2, 6)).replicas == 3


@pytest.mark.parametrize(
    ("current", "bounds", "expected", "cause"),
    [
        pytest.param(1, (2, 6), 2, Cause.BELOW_MINIMUM, id="below the minimum"),
        pytest.param(2, (3, 5), 3, Cause.BELOW_MINIMUM, id="below another"),
        pytest.param(6, (2, 5), 5, Cause.ABOVE_MAXIMUM, id="above the maximum"),
        pytest.param(10, (3, 5), 5, Cause.ABOVE_MAXIMUM, id="far above it"),
    ],
)
def test_the_bounds_come_before_every_measurement(current, bounds, expected, cause):
    decision = decided(cpu(90, behavior=Behavior()), "", [], bounds, current=current)
    assert (decision.replicas, decision.cause) == (expected, cause)
    assert reasons(decision) == (RESCALED, None, None)
    assert decision.memory.changes == (Change(expected - current, NOW),)


def test_from_0_with_a_minimum_of_0():
    decision = decided(cpu(30), "rrr", [300, 400, 500], (0, 6), current=0)
    assert (decision.replicas, decision.cause) == (4, Cause.METRIC_ABOVE_TARGET)


def test_on_a_bound_the_metrics_decide():
    idle, busy = [100, 300, 500, 250, 250], [900] * 5
    assert decided(cpu(50), "rrrrr", idle, (2, 5)).replicas == 3
    assert decided(cpu(50), "rrrrr", busy, (5, 9)).replicas == 9


@pytest.mark.parametrize("bounds", [(3, 5), (1, 5)])
def test_at_0_scaling_is_disabled(bounds):
    decision = decided(cpu(90), "", [], bounds, current=0)
    assert (decision.replicas, decision.cause) == (0, Cause.DISABLED)
    assert reasons(decision) == (GOT, Reason.SCALING_DISABLED, None)
    assert not decision.conditions.scaling_active.is_true


@pytest.mark.parametrize(
    ("kinds", "levels", "unknown"),
    [
        pytest.param("rrrr", [], Unknown.NO_SAMPLES, id="nothing measured"),
        pytest.param("", [100], Unknown.NO_REPLICAS, id="nothing there"),
        pytest.param("uuu", [100, 100, 100], Unknown.NO_READY_SAMPLES, id="nothing ready"),
    ],
)
def test_all_unknown_holds(kinds, levels, unknown):
    decision = decided(cpu(100), kinds, levels, (2, 6), current=4)
    assert (decision.replicas, decision.cause) == (4, Cause.METRICS_UNKNOWN)
    assert reasons(decision) == (GOT, Reason.FAILED_GET_RESOURCE_METRIC, None)
    assert decision.reasoning.outcomes[0].proposal is unknown
    assert decision.memory.recommendations == (Recommendation(4, NOW),)


def test_a_request_that_is_not_known_holds():
    replicas = [replace(one, requests={}) for one in fleet("r")]
    decision = decide_hpa(
        cpu(100),
        bounds=Bounds(1, 5),
        current=1,
        replicas=replicas,
        measured=Measured({Resource.CPU: samples(200)}),
        memory=NOTHING_RECOMMENDED,
        now=NOW,
    )
    assert decision.replicas == 1
    assert reasons(decision) == (GOT, Reason.FAILED_GET_RESOURCE_METRIC, None)


def and_duration(target):
    return replace(cpu(target), metrics=(DurationMetric(100_000), ResourceMetric(Resource.CPU, target)))


def test_one_unknown_and_the_other_up():
    decision = decided(and_duration(30), "rrr", [300, 400, 500], (2, 6))
    assert decision.replicas == 4
    assert reasons(decision) == (RESCALED, FOUND, WITHIN)


def test_one_unknown_and_the_other_down():
    decision = decided(and_duration(50), "rrrrr", [100, 300, 500, 250, 250], (2, 6))
    assert (decision.replicas, decision.cause) == (5, Cause.METRICS_UNKNOWN)
    assert reasons(decision) == (GOT, Reason.FAILED_GET_EXTERNAL_METRIC, None)


def test_the_highest_of_two_wins_and_is_told():
    slow = RequestDuration(sum_us=300_000_000, answered=1000)
    decision = decided(and_duration(30), "rrr", [300, 400, 500], (2, 20), duration=slow)
    assert decision.replicas == 6
    assert decision.reasoning.combined.winner == "requestDuration"
    assert reasons(decision)[2] is Reason.SCALE_UP_LIMIT
    assert decision.reasoning.limited.replicas == 6
    assert [outcome.proposal.replicas for outcome in decision.reasoning.outcomes] == [9, 4]


def recommended(*pairs):
    return HpaMemory(tuple(Recommendation(replicas, NOW - age_s) for replicas, age_s in pairs))


HALF = [50, 50, 50]


def test_stabilised_down():
    memory = recommended((10, 600), (4, 60))
    decision = decided(cpu(100), "rrr", HALF, (1, 5), current=4, requests=TENTHS, memory=memory)
    assert (decision.replicas, decision.cause) == (4, Cause.UNCHANGED)
    assert reasons(decision) == (Reason.SCALE_DOWN_STABILIZED, FOUND, WITHIN)
    assert decision.memory.recommendations == (Recommendation(4, NOW - 60), Recommendation(2, NOW))


@pytest.mark.parametrize("behavior", [None, Behavior()], ids=["without behavior", "with behavior"])
def test_where_nothing_was_ever_recorded_the_number_in_force_counts(behavior):
    policy = cpu(50, behavior=behavior)
    decision = decided(policy, "rrrrr", [100, 300, 500, 250, 250], (2, 6), memory=HpaMemory())
    assert decision.replicas == 5
    assert reasons(decision) == (Reason.SCALE_DOWN_STABILIZED, FOUND, WITHIN)


def test_what_was_recommended_can_raise_the_number_without_behavior_only():
    memory = recommended((9, 60))
    low = [500, 500, 500, 500]
    without = decided(cpu(50), "rrrr", low, (1, 10), memory=memory)
    assert (without.replicas, without.cause) == (8, Cause.RECENT_RECOMMENDATION)
    assert decided(cpu(50, behavior=Behavior()), "rrrr", low, (1, 10), memory=memory).replicas == 4


def test_a_longer_window_does_not_forget_what_a_shorter_one_did_not_keep():
    short = cpu(50, behavior=Behavior(scale_down=scale_down_rules(window_s=60)))
    long = cpu(50, behavior=Behavior(scale_down=scale_down_rules(window_s=600)))
    idle = [100, 100, 100, 100]
    memory = decided(short, "rrrr", [500] * 4, (1, 6), memory=recommended((4, 30))).memory
    held = decided(long, "rrrr", idle, (1, 6), memory=memory)
    assert held.replicas == 4
    assert Recommendation(4, NOW - 60) in held.memory.recommendations


def test_a_direction_has_its_own_tolerance():
    loose = cpu(100, behavior=Behavior(scale_up_rules(tolerance=0.5)))
    assert decided(loose, "rrr", [1400] * 3, (1, 9)).replicas == 3
    assert decided(loose, "rrr", [800] * 3, (1, 9)).replicas == 3
    assert decided(loose, "rrr", [600] * 3, (1, 9)).replicas == 2
    assert loose.tolerances == Tolerance(up=0.5, down=0.1)


def test_nothing_falls_while_a_new_run_comes_up():
    idle = [100, 300, 500, 250, 250]
    decision = decided(cpu(50), "rrrrr", idle, (2, 6), is_rolling_out=True)
    assert (decision.replicas, decision.cause) == (5, Cause.ROLLING_OUT)
    assert decision.memory.changes == ()
    assert reasons(decision) == (READY, FOUND, WITHIN)
    assert decided(cpu(30), "rrr", [300, 500, 700], (2, 6), is_rolling_out=True).replicas == 5


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: HpaPolicy(()), "metrics is empty: at least 1 is needed"),
        (lambda: replace(cpu(5), metrics=cpu(5).metrics * 2), "metrics are cpu, cpu: each may be there once"),
        (lambda: cpu(0), "target_percent is 0: it must be a number above 0"),
        (lambda: DurationMetric(999), "target_us is 999: it must be at least 1000"),
    ],
)
def test_what_is_outside_its_range_is_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def test_condition_types_have_their_published_names():
    conditions = decided(cpu(50), "rrr", [500] * 3, (1, 5)).conditions
    assert conditions.able_to_scale.type is ConditionType.ABLE_TO_SCALE
    assert [type_.value for type_ in ConditionType] == ["AbleToScale", "ScalingActive", "ScalingLimited"]
