"""Which routers there are: the fold of the `router` aggregates. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from libs.common.events.envelope import TEAM, Aggregate, Recorded, select
from libs.common.events.router import RouterFact, RouterJoined, RouterLeft, RouterNamed
from libs.common.services import ROUTER

ALONE: Final = frozenset({ROUTER})
"""The routers of a platform that no other one has joined."""

EVERY_ROUTER: Final = select(project_id=TEAM, kind=RouterFact.aggregate)
"""Selects the events of all routers."""


@dataclass(frozen=True, slots=True)
class RouterState:
    is_joined: bool = False
    """Whether its Envoy may be sending requests to replicas."""
    may_join: bool = True
    """Whether it was not taken out, or is named again since."""


def evolve(state: RouterState, event: Recorded) -> RouterState:
    """Never fails; what it does not know changes nothing."""
    match event.fact:
        case RouterJoined():
            return RouterState(is_joined=True)
        case RouterLeft():
            return RouterState(may_join=False)
        case RouterNamed():
            return RouterState()
        case _:
            return state


def aggregate_of(router: str) -> Aggregate:
    return Aggregate(TEAM, RouterFact.aggregate, router)


def state_of(router: str, states: Mapping[Aggregate, Any]) -> RouterState:
    """The first router has always joined."""
    if router == ROUTER:
        return RouterState(is_joined=True)
    state = states.get(aggregate_of(router))
    return state if isinstance(state, RouterState) else RouterState()


def states_by(events: Iterable[Recorded]) -> dict[Aggregate, RouterState]:
    """From events, in sequence order; those of other aggregates may be among them."""
    states: dict[Aggregate, RouterState] = {}
    for event in events:
        if event.aggregate.kind == RouterFact.aggregate:
            states[event.aggregate] = evolve(states.get(event.aggregate, RouterState()), event)
    return states


def joined(states: Mapping[Aggregate, Any]) -> frozenset[str]:
    """The names of the routers that there are; among the states those of other aggregates may be, such as one
    of a router under a project, which nobody ever takes out."""
    return ALONE | {
        aggregate.id
        for aggregate, state in states.items()
        if isinstance(state, RouterState) and state.is_joined and aggregate == aggregate_of(aggregate.id)
    }


def joined_by(events: Iterable[Recorded]) -> frozenset[str]:
    """The same from events, in sequence order; those of other aggregates may be among them."""
    return joined(states_by(events))
