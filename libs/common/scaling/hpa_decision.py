"""What `decide_hpa` comes to, with the numbers that lead there. Pure data."""

from dataclasses import dataclass

from libs.common.scaling.cause import Cause
from libs.common.scaling.combining import Combined, MetricOutcome
from libs.common.scaling.conditions import Condition
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.limiting import Limited
from libs.common.scaling.stabilising import Stabilised


@dataclass(frozen=True, slots=True)
class Conditions:
    """The three conditions. None: the decision says nothing about it, so it is as it was."""

    able_to_scale: Condition
    """SucceededRescale counts once the decision is stored."""
    scaling_active: Condition | None = None
    scaling_limited: Condition | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The arithmetic, step by step."""

    outcomes: tuple[MetricOutcome, ...]
    """In the order of the policy."""
    combined: Combined
    stabilised: Stabilised | None = None
    limited: Limited | None = None
    """Both None: the metrics were held, so there was nothing to hold back."""


@dataclass(frozen=True, slots=True)
class HpaDecision:
    replicas: int
    cause: Cause
    conditions: Conditions
    memory: HpaMemory
    """As the next decision needs it, once this one is stored."""
    reasoning: Reasoning | None = None
    """None: the bounds alone decided."""
