"""The reasoning of a decision as facts and explanations have it: numbers, sums and ages, never lists. Pure.

The rules know thousandths, microseconds and times on a clock of their own. What is told has the units of the
spec, percent and seconds, and ages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.common.events.scaling import (
    InFlightOutcome,
    LimitedTo,
    MetricName,
    MetricOutcome,
    StabilisedTo,
)
from libs.common.scaling import combining
from libs.common.scaling.hpa_decision import HpaDecision, Reasoning
from libs.common.scaling.hpa_policy import DurationMetric, HpaPolicy, Measured, Metric
from libs.common.scaling.in_flight import InFlightDecision, InFlightMemory
from libs.common.scaling.limiting import Limited
from libs.common.scaling.proposals import Unknown
from libs.common.scaling.stabilising import Stabilised

US = 1_000_000


@dataclass(frozen=True, slots=True)
class Told:
    """The arithmetic of a decision; each field as in `ReplicasDecided`."""

    metrics: tuple[MetricOutcome, ...] = ()
    winner: MetricName | None = None
    stabilised: StabilisedTo | None = None
    limited: LimitedTo | None = None
    in_flight: InFlightOutcome | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Why nothing is known, by the name of what is measured."""


def tell_hpa(policy: HpaPolicy, decision: HpaDecision, measured: Measured, *, now: float) -> Told:
    reasoning = decision.reasoning
    if reasoning is None:
        return Told()
    winner = reasoning.combined.winner
    metrics = tuple(
        _metric(metric, outcome, policy, measured)
        for metric, outcome in zip(policy.metrics, reasoning.outcomes, strict=True)
    )
    return Told(
        metrics,
        None if winner is None else MetricName(winner),
        _stabilised(reasoning, now=now),
        _limited(reasoning.limited),
        unknown={one.metric.value: one.unknown.value for one in metrics if one.unknown is not None},
    )


def tell_in_flight(
    decision: InFlightDecision,
    *,
    stable: float | None,
    panic: float | None,
    ready: int,
    before: InFlightMemory,
    now: float,
) -> Told:
    """before: what the decision remembered when it was made."""
    if stable is None or panic is None or decision.needed is None:
        return Told(unknown={IN_FLIGHT: Unknown.NO_SAMPLES.value})
    since, step = before.concurrency.panicking_since, before.last_step
    outcome = InFlightOutcome(
        stable=stable,
        panic=panic,
        ready=ready,
        needed=decision.needed,
        panicking_for_s=None if since is None else now - since,
        most_in_panic=before.concurrency.most_in_panic,
        step_age_s=None if step is None else now - step,
    )
    return Told(in_flight=outcome)


IN_FLIGHT = "inFlight"
"""The name of what is measured where a deployment scales by requests in flight."""


def _metric(
    metric: Metric, outcome: combining.MetricOutcome, policy: HpaPolicy, measured: Measured
) -> MetricOutcome:
    proposal = outcome.proposal
    target = metric.target_us / US if isinstance(metric, DurationMetric) else metric.target_percent
    name = MetricName(metric.name)
    if isinstance(proposal, Unknown):
        return MetricOutcome(metric=name, target=target, unknown=proposal)
    window_s: float | None
    age_s: float | None = None
    if isinstance(metric, DurationMetric):
        duration = measured.duration
        window_s = None if duration is None else min(duration.measured_s, policy.request_window_s)
        value = proposal.average / US
    else:
        samples = measured.samples.get(metric.resource, {}).values()
        window_s = max((sample.window_s for sample in samples), default=None)
        age_s = max((sample.age_s for sample in samples), default=None)
        value = float(proposal.utilization_percent or 0)
    return MetricOutcome(
        metric=name,
        target=target,
        value=value,
        ratio=proposal.ratio,
        proposal=proposal.replicas,
        counted_ratio=proposal.counted_ratio,
        counted=proposal.counted,
        is_held=proposal.is_held,
        ready=proposal.ready,
        unready=proposal.unready,
        missing=proposal.missing,
        window_s=window_s,
        age_s=age_s,
    )


def _stabilised(reasoning: Reasoning, *, now: float) -> StabilisedTo | None:
    held: Stabilised | None = reasoning.stabilised
    if held is None:
        return None
    deciding = held.deciding
    return StabilisedTo(
        replicas=held.replicas,
        reason=held.reason,
        deciding_replicas=None if deciding is None else deciding.replicas,
        deciding_age_s=None if deciding is None else now - deciding.at,
    )


def _limited(limited: Limited | None) -> LimitedTo | None:
    if limited is None:
        return None
    rate = None if limited.by is None else limited.by.rate
    return LimitedTo(
        replicas=limited.replicas,
        reason=limited.reason,
        rate_type=None if rate is None else rate.type,
        rate_value=None if rate is None else rate.value,
        rate_period_s=None if rate is None else rate.period_s,
        began_with=None if limited.by is None else limited.by.began_with,
    )
