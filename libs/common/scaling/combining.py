"""What several metrics propose together, as in Kubernetes' HorizontalPodAutoscaler. Pure.

| metrics that propose | highest proposal | replicas      | scaling is active            |
|----------------------|------------------|---------------|------------------------------|
| all                  | any              | the highest   | ValidMetricFound             |
| some                 | at least current | the highest   | ValidMetricFound             |
| some                 | below current    | current: held | why the first one is unknown |
| none                 | -                | current: held | why the first one is unknown |

What is unknown might be what needs them, so with one metric unknown the number never falls.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from libs.common.scaling.conditions import Condition, ConditionType, MetricFailure, Reason
from libs.common.scaling.proposals import Proposal, Unknown


@dataclass(frozen=True, slots=True)
class MetricOutcome:
    """What one metric of a policy came to."""

    name: str
    """As people know it: `cpu`, `memory`, `requestDuration`. Told in messages."""
    proposal: Proposal | Unknown
    failure: MetricFailure = MetricFailure.RESOURCE
    """The published name for not getting a metric of its kind."""


@dataclass(frozen=True, slots=True)
class Combined:
    replicas: int
    winner: str | None
    """Name of the metric that proposes the most, the first of equals; None where none proposes anything."""
    is_held: bool
    scaling_active: Condition


def combine(outcomes: Sequence[MetricOutcome], *, current: int) -> Combined:
    """Raises ValueError where there is no metric at all."""
    if not outcomes:
        raise ValueError("there are 0 metrics: at least 1 is needed")
    known: list[tuple[int, str | None]] = [
        (outcome.proposal.replicas, outcome.name)
        for outcome in outcomes
        if isinstance(outcome.proposal, Proposal)
    ]
    unknown = [outcome for outcome in outcomes if isinstance(outcome.proposal, Unknown)]
    highest, winner = max(known, key=lambda one: one[0], default=(current, None))
    if unknown and (not known or highest < current):
        first = unknown[0]
        active = Condition(
            ConditionType.SCALING_ACTIVE, False, Reason(first.failure), f"{first.name}: {first.proposal}"
        )
        return Combined(current, winner, is_held=True, scaling_active=active)
    active = Condition(ConditionType.SCALING_ACTIVE, True, Reason.VALID_METRIC_FOUND, f"from {winner}")
    return Combined(highest, winner, is_held=False, scaling_active=active)
