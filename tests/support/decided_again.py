"""A decision made again from its fact alone, as a person would check it. Pure.

What is told of each step is enough for the next one: of each metric the ratio and how many it was multiplied
with, of the window the one recommendation that decided, of the rates the one that cut, and of requests in
flight the averages and what was remembered.
"""

from libs.common.events.scaling import (
    InFlightOutcome,
    LimitedTo,
    MetricName,
    MetricOutcome,
    ReplicasDecided,
    StabilisedTo,
)
from libs.common.scaling import combining
from libs.common.scaling.behavior import Rate
from libs.common.scaling.concurrency import ConcurrencyMemory
from libs.common.scaling.conditions import MetricFailure, Reason
from libs.common.scaling.hpa_decision import Reasoning
from libs.common.scaling.hpa_policy import HpaPolicy
from libs.common.scaling.in_flight import InFlightMemory, InFlightPolicy, decide_in_flight
from libs.common.scaling.limiting import Allowed, Limited
from libs.common.scaling.proposals import Proposal, Unknown
from libs.common.scaling.replicas import Bounds
from libs.common.scaling.stabilising import Recommendation, Stabilised
from libs.common.spec.scaling_policy import policy_of
from tests.support.recomputing import recomputed

NOW = 0.0
"""A fact has ages only, so any moment will do."""

_BY_A_RATE = frozenset({Reason.SCALE_UP_LIMIT, Reason.SCALE_DOWN_LIMIT})


def decided_again(fact: ReplicasDecided) -> int:
    """What its own arithmetic comes to; `to_replicas`, unless somebody has written something else.

    Raises ValueError for a policy that no spec can have.
    """
    policy = policy_of(fact.policy)
    bounds = Bounds(fact.floor, max(fact.floor, fact.policy.max_replicas))
    if isinstance(policy, InFlightPolicy):
        return fact.from_replicas if fact.in_flight is None else _in_flight(policy, fact, fact.in_flight)
    return recomputed(
        policy,
        _reasoning(policy, fact),
        bounds=bounds,
        current=fact.from_replicas,
        is_rolling_out=fact.is_rolling_out,
    )


def _in_flight(policy: InFlightPolicy, fact: ReplicasDecided, told: InFlightOutcome) -> int:
    since = None if told.panicking_for_s is None else NOW - told.panicking_for_s
    step = None if told.step_age_s is None else NOW - told.step_age_s
    return decide_in_flight(
        policy,
        bounds=Bounds(fact.floor, max(fact.floor, fact.policy.max_replicas)),
        current=fact.from_replicas,
        stable=told.stable,
        panic=told.panic,
        ready=told.ready,
        memory=InFlightMemory(ConcurrencyMemory(since, told.most_in_panic), step),
        now=NOW,
        is_rolling_out=fact.is_rolling_out,
    ).replicas


def _reasoning(policy: HpaPolicy, fact: ReplicasDecided) -> Reasoning | None:
    if not fact.metrics:
        return None
    outcomes = tuple(_outcome(metric) for metric in fact.metrics)
    return Reasoning(
        outcomes,
        combining.combine(outcomes, current=fact.from_replicas),
        None if fact.stabilised is None else _stabilised(fact.stabilised),
        None if fact.limited is None else _limited(policy, fact.limited, current=fact.from_replicas),
    )


def _outcome(told: MetricOutcome) -> combining.MetricOutcome:
    is_duration = told.metric is MetricName.REQUEST_DURATION
    failure = MetricFailure.EXTERNAL if is_duration else MetricFailure.RESOURCE
    proposal: Proposal | Unknown
    if told.proposal is None:
        proposal = told.unknown or Unknown.NO_SAMPLES
    else:
        proposal = Proposal(
            replicas=told.proposal,
            ratio=told.ratio or 0.0,
            average=0,
            counted_ratio=told.counted_ratio or 0.0,
            counted=told.counted or 0,
            is_held=told.is_held,
        )
    return combining.MetricOutcome(told.metric.value, proposal, failure)


def _stabilised(told: StabilisedTo) -> Stabilised:
    deciding = None
    if told.deciding_replicas is not None:
        deciding = Recommendation(told.deciding_replicas, NOW - (told.deciding_age_s or 0.0))
    return Stabilised(told.replicas, told.reason, deciding, ())


def _limited(policy: HpaPolicy, told: LimitedTo, *, current: int) -> Limited:
    by = None
    if told.rate_type is not None and told.rate_value is not None and told.rate_period_s is not None:
        rate = Rate(told.rate_type, told.rate_value, told.rate_period_s)
        by = Allowed(told.replicas, rate, told.began_with)
    elif policy.behavior is not None and told.reason in _BY_A_RATE:
        by = Allowed(current)
    return Limited(told.replicas, told.reason, by)
