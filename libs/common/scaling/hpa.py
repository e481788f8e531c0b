"""The decision of Kubernetes' HorizontalPodAutoscaler as one function. Pure.

| current                   | metrics            | replicas                                       |
|---------------------------|--------------------|------------------------------------------------|
| 0, and the minimum is not | any                | 0: scaling is disabled                         |
| above the maximum         | any                | the maximum                                    |
| below the minimum         | any                | the minimum                                    |
| within                    | held (`combine`)   | current                                        |
| within                    | a highest proposal | that, held back by `stabilise`, cut by `limit` |

Two things are our own. While metrics are unknown the present number counts as recommended, so that the
first measurement after a gap does not shrink a deployment that nobody measured. And while a new run comes
up (`is_rolling_out`) the number does not fall.
"""

from collections.abc import Collection
from dataclasses import replace

from libs.common.scaling.cause import Cause
from libs.common.scaling.combining import MetricOutcome, combine
from libs.common.scaling.conditions import Condition, ConditionType, MetricFailure, Reason
from libs.common.scaling.hpa_decision import Conditions, HpaDecision, Reasoning
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.hpa_policy import DurationMetric, HpaPolicy, Measured, Metric
from libs.common.scaling.limiting import Limited, limit, limit_without_behavior, remember_change
from libs.common.scaling.replicas import Bounds, Replica
from libs.common.scaling.request_duration import propose_duration
from libs.common.scaling.resource_proposal import propose_resource
from libs.common.scaling.stabilising import Stabilised, stabilise, stabilise_down


def decide_hpa(
    policy: HpaPolicy,
    *,
    bounds: Bounds,
    current: int,
    replicas: Collection[Replica],
    measured: Measured,
    memory: HpaMemory,
    now: float,
    is_rolling_out: bool = False,
) -> HpaDecision:
    """current: the number in force. replicas: those of the run that is measured, leaving ones among them.

    The order of replicas and samples does not matter. The next decision is to be given the memory of this
    one.
    """
    memory = memory.begun(current, window_s=policy.longest_window_s, now=now)
    if current == 0 and bounds.minimum > 0:
        active = Condition(ConditionType.SCALING_ACTIVE, False, Reason.SCALING_DISABLED)
        return HpaDecision(0, Cause.DISABLED, Conditions(_able(Reason.SUCCEEDED_GET_SCALE), active), memory)
    if not bounds.minimum <= current <= bounds.maximum:
        cause = Cause.ABOVE_MAXIMUM if current > bounds.maximum else Cause.BELOW_MINIMUM
        decision = HpaDecision(
            bounds.clamp(current), cause, Conditions(_able(Reason.SUCCEEDED_RESCALE)), memory
        )
        return _remembered(decision, policy, before=current, now=now)

    outcomes = tuple(
        _outcome(metric, policy, current=current, replicas=replicas, measured=measured, now=now)
        for metric in policy.metrics
    )
    combined = combine(outcomes, current=current)
    if combined.is_held:
        return HpaDecision(
            current,
            Cause.METRICS_UNKNOWN,
            Conditions(_able(Reason.SUCCEEDED_GET_SCALE), combined.scaling_active),
            memory.with_recommended(current, now=now),
            Reasoning(outcomes, combined),
        )
    desired = combined.replicas
    stabilised, limited = _held_back(policy, memory, bounds=bounds, current=current, desired=desired, now=now)
    cause = _cause(current, desired, limited.replicas, is_rolling_out=is_rolling_out)
    is_changed = limited.replicas != current and cause is not Cause.ROLLING_OUT
    decision = HpaDecision(
        limited.replicas if is_changed else current,
        cause,
        Conditions(
            _able(Reason.SUCCEEDED_RESCALE if is_changed else stabilised.reason),
            combined.scaling_active,
            Condition(ConditionType.SCALING_LIMITED, limited.is_limited, limited.reason),
        ),
        HpaMemory(stabilised.kept, memory.changes, memory.kept_s),
        Reasoning(outcomes, combined, stabilised, limited),
    )
    return _remembered(decision, policy, before=current, now=now)


def _outcome(
    metric: Metric,
    policy: HpaPolicy,
    *,
    current: int,
    replicas: Collection[Replica],
    measured: Measured,
    now: float,
) -> MetricOutcome:
    if isinstance(metric, DurationMetric):
        proposal = propose_duration(
            measured.duration,
            target_us=metric.target_us,
            ready_since=[
                now if replica.ready_changed_at is None else replica.ready_changed_at
                for replica in replicas
                if replica.serves
            ],
            current=current,
            now=now,
            window_s=policy.request_window_s,
            tolerance=policy.tolerances,
        )
        return MetricOutcome(metric.name, proposal, MetricFailure.EXTERNAL)
    resource = metric.resource
    requests = {one.id: one.requests[resource] for one in replicas if resource in one.requests}
    proposal = propose_resource(
        replicas,
        measured.samples.get(resource, {}),
        resource=resource,
        requests=requests,
        target_percent=metric.target_percent,
        current=current,
        now=now,
        tolerance=policy.tolerances,
        cpu_initialization_s=policy.cpu_initialization_s,
        initial_readiness_delay_s=policy.initial_readiness_delay_s,
    )
    return MetricOutcome(metric.name, proposal, MetricFailure.RESOURCE)


def _held_back(
    policy: HpaPolicy, memory: HpaMemory, *, bounds: Bounds, current: int, desired: int, now: float
) -> tuple[Stabilised, Limited]:
    past = memory.recommendations or ()
    behavior = policy.behavior
    if behavior is None:
        stabilised = stabilise_down(desired, past, window_s=policy.down_window_s, now=now)
        return stabilised, limit_without_behavior(current, stabilised.replicas, bounds=bounds)
    stabilised = stabilise(
        current,
        desired,
        past,
        up_window_s=behavior.scale_up.window_s,
        down_window_s=behavior.scale_down.window_s,
        now=now,
    )
    limited = limit(
        current, stabilised.replicas, bounds=bounds, behavior=behavior, changes=memory.changes, now=now
    )
    return stabilised, limited


def _cause(current: int, desired: int, replicas: int, *, is_rolling_out: bool) -> Cause:
    if replicas == current:
        return Cause.UNCHANGED
    if replicas < current:
        return Cause.ROLLING_OUT if is_rolling_out else Cause.ALL_METRICS_BELOW_TARGET
    return Cause.METRIC_ABOVE_TARGET if desired > current else Cause.RECENT_RECOMMENDATION


def _remembered(decision: HpaDecision, policy: HpaPolicy, *, before: int, now: float) -> HpaDecision:
    memory = decision.memory
    changes = remember_change(
        memory.changes, before=before, after=decision.replicas, behavior=policy.behavior, now=now
    )
    if changes == memory.changes:
        return decision
    return replace(decision, memory=HpaMemory(memory.recommendations, changes, memory.kept_s))


def _able(reason: Reason) -> Condition:
    return Condition(ConditionType.ABLE_TO_SCALE, True, reason)
