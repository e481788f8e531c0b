"""What one metric proposes, or why nothing, and the arithmetic that all metrics share. Pure."""

import math
from dataclasses import dataclass
from enum import StrEnum

MOST = 2**31 - 1
"""The largest number that is proposed, as in the published algorithm."""


class Unknown(StrEnum):
    """Why a metric proposes nothing. None of these is a load of 0."""

    NO_SAMPLES = "no_samples"
    """Nothing at all was measured."""
    NO_REPLICAS = "no_replicas"
    """There is no replica that anything could have been measured of."""
    NO_READY_SAMPLES = "no_ready_samples"
    """Only replicas that are unready or leaving were measured."""
    NO_MATCHING_SAMPLES = "no_matching_samples"
    """Only replicas that nobody knows were measured."""
    NO_REQUEST = "no_request"
    """What 100 % is, is not known of every replica."""
    NO_READY_REPLICAS = "no_ready_replicas"
    """No replica serves, so how long requests take says nothing."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far measured over target may be from 1.0 without any change."""

    up: float = 0.1
    down: float = 0.1

    def covers(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True)
class Proposal:
    """How many replicas a metric asks for, and the numbers that lead there: `counted_ratio` x `counted`,
    rounded up, or the present number where `is_held`."""

    replicas: int
    ratio: float
    """Measured over target."""
    average: int
    """What was measured of a replica on average, or the one value; in the unit of the metric, rounded
    down."""
    utilization_percent: int | None = None
    """What was measured, in whole percent of what was requested, rounded down. None: the metric has no
    request."""
    counted_ratio: float = 0.0
    """The ratio once missing and unready replicas are filled in; where there are none, `ratio`."""
    counted: int = 0
    """How many replicas that ratio is over."""
    ready: int = 0
    unready: int = 0
    missing: int = 0
    is_held: bool = False
    """The change would be too small, or in another direction than what was measured."""


def rounded_up(replicas: float) -> int:
    """The product is a double, as in the published algorithm: what is a hair above a whole number is
    rounded up."""
    return MOST if replicas > MOST else math.ceil(replicas)


def require_positive(name: str, value: float) -> None:
    """Raises ValueError. A target that is not above 0 has no ratio."""
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} is {value}: it must be a number above 0")
