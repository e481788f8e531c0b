"""The arithmetic of a decision as one sentence that a person can check with a pencil. Pure.

    cpu 84 % of 50 → 3 × 84/50 = 5.04 → 6; requestDuration 0.09 s of 0.15 → 3 × 0.09/0.15 = 1.8 → 2;
    highest 6 (cpu); ceiling 5 → 5

It ends with the number that came out. A step that held nothing back and cut nothing is not told.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from libs.common.autoscaling.shown_numbers import before_rounding, enough, exact, number, seconds
from libs.common.events.scaling import (
    InFlightOutcome,
    LimitedTo,
    MetricName,
    MetricOutcome,
    ReplicasDecided,
    StabilisedTo,
)
from libs.common.scaling.behavior import Rate, RateType
from libs.common.scaling.cause import Cause
from libs.common.scaling.concurrency import ConcurrencyMemory, decide_concurrency
from libs.common.scaling.conditions import Reason
from libs.common.scaling.in_flight import PANIC_WINDOW_PART, InFlightPolicy
from libs.common.scaling.limiting import GROWTH_AT_LEAST, GROWTH_FACTOR, grown, shrunk
from libs.common.scaling.proposals import Tolerance, Unknown, rounded_up
from libs.common.scaling.replicas import Bounds
from libs.common.spec.model import Autoscaling, ScalingConcurrency
from libs.common.spec.scaling_policy import policy_of


class Arithmetic(Protocol):
    """What a stored decision and the present reasoning have in common; the fields of `ReplicasDecided`."""

    @property
    def reason(self) -> Cause: ...
    @property
    def is_rolling_out(self) -> bool: ...
    @property
    def metrics(self) -> tuple[MetricOutcome, ...]: ...
    @property
    def winner(self) -> MetricName | None: ...
    @property
    def stabilised(self) -> StabilisedTo | None: ...
    @property
    def limited(self) -> LimitedTo | None: ...
    @property
    def in_flight(self) -> InFlightOutcome | None: ...


@dataclass(frozen=True, slots=True)
class Frame:
    """Between which numbers, and by which policy, `current` became `replicas`."""

    current: int
    replicas: int
    bounds: Bounds
    policy: Autoscaling


UNKNOWN = {
    Unknown.NO_SAMPLES: "nothing was measured",
    Unknown.NO_REPLICAS: "there is no replica",
    Unknown.NO_READY_SAMPLES: "no replica that is ready was measured",
    Unknown.NO_MATCHING_SAMPLES: "only replicas that nobody knows were measured",
    Unknown.NO_REQUEST: "it is not known what 100 % is",
    Unknown.NO_READY_REPLICAS: "no replica serves",
}
"""Why a metric proposes nothing, in words."""

ROLLING_OUT = "a new run comes up, so it does not fall"


def sentence_of(fact: ReplicasDecided) -> str:
    bounds = Bounds(fact.floor, max(fact.floor, fact.policy.max_replicas))
    return sentence(fact, Frame(fact.from_replicas, fact.to_replicas, bounds, fact.policy))


def sentence(told: Arithmetic, frame: Frame) -> str:
    if told.in_flight is not None and frame.policy.concurrency is not None:
        steps = _by_requests_in_flight(
            told.in_flight, frame.policy.concurrency, frame, is_rolling_out=told.is_rolling_out
        )
    elif told.metrics:
        steps = _by_metrics(told, frame)
    else:
        steps = _by_the_bounds(told, frame)
    told_steps = "; ".join(steps)
    ending = f" → {frame.replicas}"
    return told_steps if told_steps.endswith(ending) else told_steps + ending


def _by_the_bounds(told: Arithmetic, frame: Frame) -> Iterator[str]:
    match told.reason:
        case Cause.ABOVE_MAXIMUM:
            yield f"{frame.current} is above the ceiling {frame.bounds.maximum}"
        case Cause.BELOW_MINIMUM:
            yield f"{frame.current} is below the floor {frame.bounds.minimum}"
        case Cause.METRICS_UNKNOWN:
            yield f"nothing is known, so it stays at {frame.current}"
        case _:
            yield told.reason.replace("_", " ")


def _by_metrics(told: Arithmetic, frame: Frame) -> Iterator[str]:
    for metric in told.metrics:
        yield _metric(metric, frame)
    known = [metric.proposal for metric in told.metrics if metric.proposal is not None]
    highest = max(known, default=None)
    if told.stabilised is None or told.limited is None or highest is None:
        yield f"as long as that is unknown it stays at {frame.current}"
        return
    if len(told.metrics) > 1:
        yield f"highest {highest} ({told.winner})"
    if told.stabilised.reason is not Reason.READY_FOR_NEW_SCALE:
        yield _held_back(told.stabilised)
    if told.limited.reason is not Reason.DESIRED_WITHIN_RANGE:
        yield _cut(told.limited, frame)
    if told.is_rolling_out and told.limited.replicas < frame.current:
        yield ROLLING_OUT


def _metric(told: MetricOutcome, frame: Frame) -> str:
    unit = "s" if told.metric is MetricName.REQUEST_DURATION else "%"
    target = exact(told.target)
    if told.value is None or told.proposal is None or told.counted is None or told.counted_ratio is None:
        why = UNKNOWN[told.unknown or Unknown.NO_SAMPLES]
        return f"{told.metric}, target {target} {unit}, is unknown: {why}"
    counted, product = told.counted, told.counted_ratio * told.counted
    value = enough(told.value, lambda shown: before_rounding(counted * shown / told.target))
    measured = f"{told.metric} {value} {unit} of {target}"
    is_plain = told.counted_ratio == told.ratio
    if is_plain:
        times = f"{counted} × {value}/{target}"
    else:
        ratio = enough(told.counted_ratio, lambda shown: before_rounding(counted * shown))
        measured += f", with {_filled(told)} {ratio}"
        times = f"{counted} × {ratio}"
    found = f"{measured} → {times} = {before_rounding(product)} → {rounded_up(product)}"
    return f"{found}, {_why_kept(told, frame)}: {told.proposal}" if told.is_held else found


def _filled(told: MetricOutcome) -> str:
    """Who was counted though nothing counts of it, and as what."""
    is_above = (told.ratio or 0.0) > 1.0
    missing = f"{told.missing} missing as {'idle' if is_above else 'full'}" if told.missing else ""
    unready = f"{told.unready} unready as idle" if told.unready and is_above else ""
    return " and ".join(part for part in (missing, unready) if part) or "those that count"


def _why_kept(told: MetricOutcome, frame: Frame) -> str:
    ratio = told.counted_ratio or 0.0
    tolerance = tolerance_of(frame.policy)
    if tolerance.covers(ratio):
        lowest, highest = 1 - Decimal(repr(tolerance.down)), 1 + Decimal(repr(tolerance.up))
        return f"but {enough(ratio, tolerance.covers)} is within {lowest:f} to {highest:f}"
    if told.metric is MetricName.REQUEST_DURATION and ratio > 1.0 and told.proposal == frame.current:
        return f"but not measured for a whole window with {frame.current} ready"
    return "but that is the other way than what was measured"


def tolerance_of(policy: Autoscaling) -> Tolerance:
    found = Tolerance()
    if policy.behavior is None:
        return found
    up, down = policy.behavior.scale_up, policy.behavior.scale_down
    return Tolerance(
        up=found.up if up is None or up.tolerance is None else up.tolerance,
        down=found.down if down is None or down.tolerance is None else down.tolerance,
    )


def _held_back(told: StabilisedTo) -> str:
    if told.deciding_replicas is None or told.deciding_age_s is None:
        return f"between what was recommended lately it stays at {told.replicas}"
    return f"{told.deciding_replicas} was recommended {seconds(told.deciding_age_s)} ago: {told.replicas}"


def _cut(told: LimitedTo, frame: Frame) -> str:
    if told.reason is Reason.TOO_MANY_REPLICAS:
        return f"ceiling {frame.bounds.maximum}"
    if told.reason is Reason.TOO_FEW_REPLICAS:
        return f"floor {frame.bounds.minimum}"
    is_up = told.reason is Reason.SCALE_UP_LIMIT
    if told.rate_type is None or told.rate_value is None or told.rate_period_s is None:
        if frame.policy.behavior is None:
            return f"at most {GROWTH_FACTOR} × {frame.current}, or {GROWTH_AT_LEAST}: {told.replicas}"
        return f"no change {'up' if is_up else 'down'} is allowed: {told.replicas}"
    by = f"{told.rate_value}{'' if told.rate_type is RateType.PODS else ' %'}"
    began_with, rate = told.began_with or 0, Rate(told.rate_type, told.rate_value, told.rate_period_s)
    allowed = grown(began_with, rate) if is_up else shrunk(began_with, rate)
    amount = f"{began_with} {'+' if is_up else '-'} {by} in {told.rate_period_s} s"
    if allowed != told.replicas:
        amount += f" is {allowed}, passed already"
    return f"at {'most' if is_up else 'least'} {told.replicas} ({amount})"


def _by_requests_in_flight(
    told: InFlightOutcome, policy: ScalingConcurrency, frame: Frame, *, is_rolling_out: bool
) -> Iterator[str]:
    share = policy.target_utilization_percentage
    target = policy.target * share / 100
    each = f"{policy.target} × {share} % = {exact(target)}"
    by_window = math.ceil(told.stable / target)
    stable = enough(told.stable, lambda shown: before_rounding(shown / target))
    yield f"{stable} in flight, {each} for each → {before_rounding(told.stable / target)} → {by_window}"
    by_panic = math.ceil(told.panic / target)
    wanted = _wanted(told, frame.policy)
    if wanted > by_window:
        window = number(policy.window_seconds * PANIC_WINDOW_PART)
        past = f", and {told.most_in_panic} were needed since" if told.most_in_panic else ""
        panic = enough(told.panic, lambda shown: math.ceil(shown / target))
        yield f"a burst: {panic} in the last {window} s → {by_panic}{past}: {wanted}"
    if wanted != told.needed:
        yield f"{'ceiling' if wanted > told.needed else 'floor'} {told.needed}"
    if told.needed >= frame.current:
        return
    delay_s = policy.scale_down_delay_seconds
    if is_rolling_out:
        yield f"needed {told.needed}"
        yield ROLLING_OUT
    elif frame.replicas == frame.current:
        yield (
            f"needed {told.needed}, and a step down waits {delay_s} s from when the load fell, "
            "or from the last step"
        )
    else:
        excess, step = frame.current - told.needed, frame.current - frame.replicas
        yield (
            f"{excess} too many for {delay_s} s: {policy.max_scale_down_rate_percent} % of them, at least 1: "
            f"{frame.current} - {step}"
        )


def _wanted(told: InFlightOutcome, policy: Autoscaling) -> int:
    """Of the published algorithm, before the bounds: by the window, or by a burst that is not over."""
    rules = policy_of(policy)
    assert isinstance(rules, InFlightPolicy)
    began = None if told.panicking_for_s is None else -told.panicking_for_s
    decided = decide_concurrency(
        rules.published,
        stable=told.stable,
        panic=told.panic,
        ready=told.ready,
        memory=ConcurrencyMemory(began, told.most_in_panic),
        now=0.0,
    )
    return told.needed if decided.replicas is None else decided.replicas
