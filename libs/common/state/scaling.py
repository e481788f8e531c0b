"""The newest decision of how many replicas: the fold of a `scaling` aggregate. Pure."""

from dataclasses import dataclass

from libs.common.events.envelope import Recorded
from libs.common.events.scaling import ReplicasDecided
from libs.common.scaling.in_force import Decided


@dataclass(frozen=True, slots=True)
class ScalingState:
    decided: Decided | None = None
    """None: nothing was ever decided."""


def evolve(state: ScalingState, event: Recorded) -> ScalingState:
    """Never fails; what it does not know changes nothing."""
    match event.fact:
        case ReplicasDecided() as fact:
            return ScalingState(Decided(fact.to_replicas, fact.stretch_id))
        case _:
            return state
