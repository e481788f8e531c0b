"""What the routers have withdrawn: the fold of a `traffic` aggregate. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from libs.common.events.envelope import Recorded
from libs.common.events.traffic import EndpointsWithdrawn


@dataclass(frozen=True, slots=True)
class TrafficState:
    by_router: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The replicas that no Envoy of a router sends requests to any more, by the router's name."""

    def withdrawn_by(self, router: str) -> frozenset[str]:
        """By one router."""
        return self.by_router.get(router, frozenset())

    def withdrawn_by_all(self, routers: Collection[str]) -> frozenset[str]:
        """By each of these; of no router at all nothing is known."""
        return frozenset.intersection(*map(self.withdrawn_by, routers)) if routers else frozenset()


def evolve(state: TrafficState, event: Recorded) -> TrafficState:
    """Never fails; what it does not know changes nothing."""
    if isinstance(event.fact, EndpointsWithdrawn):
        return TrafficState({**state.by_router, event.fact.router: frozenset(event.fact.replica_ids)})
    return state
