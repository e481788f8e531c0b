"""What the autoscaling of a stored spec is in the rules of `libs/common/scaling/`. Pure."""

from dataclasses import replace

from libs.common.scaling.behavior import (
    SCALE_DOWN,
    SCALE_UP,
    Behavior,
    Rate,
    RateType,
    ScalingRules,
    Select,
)
from libs.common.scaling.hpa_policy import DurationMetric, HpaPolicy, Metric, ResourceMetric
from libs.common.scaling.in_flight import InFlightPolicy
from libs.common.scaling.replicas import Resource
from libs.common.scaling.request_duration import REQUEST_WINDOW_S
from libs.common.spec.model import Autoscaling, ScalingConcurrency, ScalingDirection, ScalingMetric

MICROSECONDS = 1_000_000


def policy_of(
    autoscaling: Autoscaling, *, request_window_s: float = REQUEST_WINDOW_S
) -> HpaPolicy | InFlightPolicy:
    """request_window_s: what request durations are averaged over.

    Raises ValueError for what no spec can have, such as neither metrics nor concurrency.
    """
    if autoscaling.concurrency is not None:
        return _in_flight(autoscaling.concurrency)
    behavior = autoscaling.behavior
    return HpaPolicy(
        tuple(_metric(metric) for metric in autoscaling.metrics),
        behavior=None
        if behavior is None
        else Behavior(_rules(behavior.scale_up, SCALE_UP), _rules(behavior.scale_down, SCALE_DOWN)),
        request_window_s=request_window_s,
    )


def _in_flight(concurrency: ScalingConcurrency) -> InFlightPolicy:
    return InFlightPolicy(
        target=concurrency.target,
        target_utilization_percent=concurrency.target_utilization_percentage,
        window_s=concurrency.window_seconds,
        scale_down_delay_s=concurrency.scale_down_delay_seconds,
        max_scale_down_rate_percent=concurrency.max_scale_down_rate_percent,
    )


def _metric(metric: ScalingMetric) -> Metric:
    if metric.metric == "requestDuration":
        return DurationMetric(round(metric.value * MICROSECONDS))
    return ResourceMetric(Resource(metric.metric), metric.value)


def _rules(direction: ScalingDirection | None, default: ScalingRules) -> ScalingRules:
    if direction is None:
        return default
    window, rates, select = (
        direction.stabilization_window_seconds,
        direction.policies,
        direction.select_policy,
    )
    return replace(
        default,
        window_s=default.window_s if window is None else window,
        rates=default.rates
        if rates is None
        else tuple(Rate(RateType(rate.type), rate.value, rate.period_seconds) for rate in rates),
        select=default.select if select is None else Select(select),
        tolerance=direction.tolerance,
    )
