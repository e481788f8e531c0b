"""The defaults, which are those of autoscaling/v2 and of the controller."""

from libs.common.scaling.behavior import Behavior, Rate, RateType, ScalingRules, Select, scale_up_rules
from libs.common.scaling.grouping import CPU_INITIALIZATION_S, INITIAL_READINESS_DELAY_S
from libs.common.scaling.hpa_policy import HpaPolicy, ResourceMetric
from libs.common.scaling.proposals import Tolerance
from libs.common.scaling.replicas import Resource


def test_up_is_at_once_by_4_replicas_or_100_percent():
    rates = (Rate(RateType.PODS, 4, 15), Rate(RateType.PERCENT, 100, 15))
    assert Behavior().scale_up == ScalingRules(0, rates, Select.MAX, None)


def test_down_is_after_300_seconds_by_100_percent():
    rates = (Rate(RateType.PERCENT, 100, 15),)
    assert Behavior().scale_down == ScalingRules(300, rates, Select.MAX, None)


def test_a_policy_without_behavior():
    policy = HpaPolicy((ResourceMetric(Resource.CPU, 50),))
    assert policy.behavior is None
    assert (policy.down_window_s, policy.longest_window_s, policy.request_window_s) == (300, 300, 300)
    assert (policy.cpu_initialization_s, policy.initial_readiness_delay_s) == (300, 30)
    assert (CPU_INITIALIZATION_S, INITIAL_READINESS_DELAY_S) == (300, 30)
    assert policy.tolerances == Tolerance(up=0.1, down=0.1)


def test_the_ends_of_the_published_ranges_are_within_them():
    assert Rate(RateType.PODS, 1, 1).period_s == 1
    assert Rate(RateType.PODS, 1, 1800).period_s == 1800
    rules = scale_up_rules(window_s=3600, tolerance=0)
    assert (rules.window_s, rules.tolerance) == (3600, 0)
    assert scale_up_rules(tolerance=0.5).tolerance == 0.5
