"""What the router has withdrawn: the fold of a `traffic` aggregate. Pure."""

from dataclasses import dataclass

from libs.common.events.envelope import Recorded
from libs.common.events.traffic import EndpointsWithdrawn


@dataclass(frozen=True, slots=True)
class TrafficState:
    withdrawn: frozenset[str] = frozenset()
    """Replicas that no Envoy sends requests to any more."""


def evolve(state: TrafficState, event: Recorded) -> TrafficState:
    """Never fails; what it does not know changes nothing."""
    if isinstance(event.fact, EndpointsWithdrawn):
        return TrafficState(frozenset(event.fact.replica_ids))
    return state
