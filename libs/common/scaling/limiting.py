"""How far one decision may go: bounds and rates of Kubernetes' HorizontalPodAutoscaler. Pure.

A rate over a period starts from how many there were when the period began, which is the present number
without the changes within the period. Up, a percentage is rounded up, or one replica could never become
two; down, what is left is rounded down.

| direction | allowed by the rates | allowed                            | reason when that cuts          |
|-----------|----------------------|------------------------------------|--------------------------------|
| up        | at least current     | the lower of that and the maximum  | ScaleUpLimit, TooManyReplicas  |
| down      | at most current      | the higher of that and the minimum | ScaleDownLimit, TooFewReplicas |
| none      | -                    | the present number                 | -                              |
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from libs.common.scaling.behavior import Behavior, Rate, RateType, ScalingRules, Select
from libs.common.scaling.conditions import Reason
from libs.common.scaling.replicas import Bounds

UNLIMITED = 2**31 - 1

GROWTH_FACTOR = 2
GROWTH_AT_LEAST = 4
"""Without `behavior` one decision goes at most to twice as many, or to 4."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the number that was made."""

    by: int
    """Above 0 for up, below 0 for down."""
    at: float


@dataclass(frozen=True, slots=True)
class Allowed:
    """How far the rates of a direction let it go."""

    replicas: int
    rate: Rate | None = None
    """The one that decides; None: the direction is disabled."""
    began_with: int | None = None
    """How many there were when the period of that rate began."""


@dataclass(frozen=True, slots=True)
class Limited:
    replicas: int
    reason: Reason
    """DesiredWithinRange where nothing was cut."""
    by: Allowed | None = None
    """What cut it, where a rate did, or a direction that is disabled."""

    @property
    def is_limited(self) -> bool:
        return self.reason is not Reason.DESIRED_WITHIN_RANGE


def limit(
    current: int,
    desired: int,
    *,
    bounds: Bounds,
    behavior: Behavior,
    changes: Iterable[Change],
    now: float,
) -> Limited:
    """With `behavior`. changes: those that were made, in any order. One counts while it is younger than the
    period."""
    changes = tuple(changes)
    if desired > current:
        by = allowed_up(current, changes, behavior.scale_up, now=now)
        allowed = max(by.replicas, current)
        if desired > min(allowed, bounds.maximum):
            if allowed < bounds.maximum:
                return Limited(allowed, Reason.SCALE_UP_LIMIT, by)
            return Limited(bounds.maximum, Reason.TOO_MANY_REPLICAS)
    elif desired < current:
        by = allowed_down(current, changes, behavior.scale_down, now=now)
        allowed = min(by.replicas, current)
        if desired < max(allowed, bounds.minimum):
            if allowed > bounds.minimum:
                return Limited(allowed, Reason.SCALE_DOWN_LIMIT, by)
            return Limited(bounds.minimum, Reason.TOO_FEW_REPLICAS)
    return Limited(desired, Reason.DESIRED_WITHIN_RANGE)


def limit_without_behavior(current: int, desired: int, *, bounds: Bounds) -> Limited:
    """Without `behavior`: the bounds, and at most twice as many or 4."""
    growth = max(GROWTH_FACTOR * current, GROWTH_AT_LEAST)
    if desired < bounds.minimum:
        return Limited(bounds.minimum, Reason.TOO_FEW_REPLICAS)
    if desired > min(growth, bounds.maximum):
        if growth < bounds.maximum:
            return Limited(growth, Reason.SCALE_UP_LIMIT)
        return Limited(bounds.maximum, Reason.TOO_MANY_REPLICAS)
    return Limited(desired, Reason.DESIRED_WITHIN_RANGE)


def allowed_up(current: int, changes: Iterable[Change], rules: ScalingRules, *, now: float) -> Allowed:
    """The highest number that the rates allow; may be below `current`."""
    if rules.select is Select.DISABLED:
        return Allowed(current)
    choose = min if rules.select is Select.MIN else max
    return choose(_each(current, changes, rules, now, grown), key=lambda one: one.replicas)


def allowed_down(current: int, changes: Iterable[Change], rules: ScalingRules, *, now: float) -> Allowed:
    """The lowest number that the rates allow; may be above `current`, or below 0."""
    if rules.select is Select.DISABLED:
        return Allowed(current)
    choose = max if rules.select is Select.MIN else min
    return choose(_each(current, changes, rules, now, shrunk), key=lambda one: one.replicas)


def grown(replicas: int, rate: Rate) -> int:
    """How many they may become within a period."""
    if rate.type is RateType.PODS:
        return replicas + rate.value
    return min(math.ceil(replicas * (1 + rate.value / 100)), UNLIMITED)


def shrunk(replicas: int, rate: Rate) -> int:
    """How few they may become within a period; may be below 0."""
    if rate.type is RateType.PODS:
        return replicas - rate.value
    return math.trunc(replicas * (1 - rate.value / 100))


def remember_change(
    changes: Iterable[Change], *, before: int, after: int, behavior: Behavior | None, now: float
) -> tuple[Change, ...]:
    """The changes with this one, without those that no rate counts any more. Without `behavior` none is
    needed."""
    if behavior is None:
        return tuple(changes)
    rates = (*behavior.scale_up.rates, *behavior.scale_down.rates)
    longest = max(rate.period_s for rate in rates)
    kept = tuple(change for change in changes if now - change.at <= longest)
    return kept if after == before else (*kept, Change(after - before, now))


def _each(
    current: int,
    changes: Iterable[Change],
    rules: ScalingRules,
    now: float,
    changed: Callable[[int, Rate], int],
) -> list[Allowed]:
    changes = tuple(changes)
    allowed = []
    for rate in rules.rates:
        began_with = current - sum(change.by for change in changes if now - change.at < rate.period_s)
        allowed.append(Allowed(changed(began_with, rate), rate, began_with))
    return allowed
