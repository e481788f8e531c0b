"""How fast a deployment may grow and shrink: `behavior` of autoscaling/v2 and its defaults. Pure data."""

from dataclasses import dataclass
from enum import StrEnum

DOWN_WINDOW_S = 300.0
"""For how long the highest recommendation counts, where nothing else is said."""

MAX_WINDOW_S = 3600
MAX_PERIOD_S = 1800


class Select(StrEnum):
    """Which of several rate policies decides."""

    MAX = "Max"
    """The one that allows the largest change."""
    MIN = "Min"
    DISABLED = "Disabled"
    """No change in this direction."""


class RateType(StrEnum):
    PODS = "Pods"
    """`value` replicas in each period."""
    PERCENT = "Percent"
    """`value` percent, in each period, of how many there were when it began."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so much change within any `period_s`. Raises ValueError outside the published ranges."""

    type: RateType
    value: int
    """Above 0."""
    period_s: int
    """1 to 1800."""

    def __post_init__(self) -> None:
        if self.value < 1:
            raise ValueError(f"value is {self.value}: it must be at least 1")
        if not 1 <= self.period_s <= MAX_PERIOD_S:
            raise ValueError(f"period_s is {self.period_s}: it must be 1 to {MAX_PERIOD_S}")


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """One direction. Raises ValueError outside the published ranges."""

    window_s: float
    """How far back recommendations count: up to the lowest of them, down to the highest. 0 to 3600."""
    rates: tuple[Rate, ...]
    """At least one."""
    select: Select = Select.MAX
    tolerance: float | None = None
    """How far measured over target may be from 1.0 in this direction. None: as everywhere."""

    def __post_init__(self) -> None:
        if not 0 <= self.window_s <= MAX_WINDOW_S:
            raise ValueError(f"window_s is {self.window_s}: it must be 0 to {MAX_WINDOW_S}")
        if not self.rates:
            raise ValueError("rates is empty: at least 1 is needed")
        if self.tolerance is not None and self.tolerance < 0:
            raise ValueError(f"tolerance is {self.tolerance}: it must be at least 0")


UP_RATES = (Rate(RateType.PODS, 4, 15), Rate(RateType.PERCENT, 100, 15))
DOWN_RATES = (Rate(RateType.PERCENT, 100, 15),)


def scale_up_rules(
    *,
    window_s: float = 0.0,
    rates: tuple[Rate, ...] = UP_RATES,
    select: Select = Select.MAX,
    tolerance: float | None = None,
) -> ScalingRules:
    """What is not given is as autoscaling/v2 has it: at once, 4 replicas or 100 % in 15 s, whichever is
    more."""
    return ScalingRules(window_s, rates, select, tolerance)


def scale_down_rules(
    *,
    window_s: float = DOWN_WINDOW_S,
    rates: tuple[Rate, ...] = DOWN_RATES,
    select: Select = Select.MAX,
    tolerance: float | None = None,
) -> ScalingRules:
    """What is not given is as autoscaling/v2 has it: after 300 s, then 100 % in 15 s."""
    return ScalingRules(window_s, rates, select, tolerance)


SCALE_UP = scale_up_rules()
SCALE_DOWN = scale_down_rules()


@dataclass(frozen=True, slots=True)
class Behavior:
    scale_up: ScalingRules = SCALE_UP
    scale_down: ScalingRules = SCALE_DOWN
