"""Every kind of aggregate, one entry each: its facts, their writer, their fold, and who follows them. Pure.

Whatever goes by kinds derives from here: what the broker lets a service append, which events wake a durable,
what a follower reads, and where an event is folded into a view. A new kind of aggregate is a module of facts
in `libs/common/events`, a fold in `libs/common/state`, and one entry here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from libs.common.events.catalogue import CATALOGUE
from libs.common.events.deployment import DeploymentFact
from libs.common.events.envelope import Recorded, select
from libs.common.events.fact import Fact
from libs.common.events.name import NameFact
from libs.common.events.project import ProjectFact
from libs.common.events.replica import RosterFact
from libs.common.events.rollout import RolloutFact
from libs.common.events.router import RouterFact
from libs.common.events.scaling import ScalingFact
from libs.common.events.traffic import TrafficFact
from libs.common.state import deployment, name, project, replica, rollout, router, scaling, traffic
from libs.common.state.deployment import DeploymentState
from libs.common.state.name import NameState
from libs.common.state.project import ProjectState
from libs.common.state.replica import Roster
from libs.common.state.rollout import RolloutState
from libs.common.state.router import RouterState
from libs.common.state.scaling import ScalingState
from libs.common.state.traffic import TrafficState

_FOLLOWERS: Final = frozenset({"reconciler", "health", "autoscaler", "router"})
"""The services that keep a view of every deployment. The api follows everything, into its read models."""


@dataclass(frozen=True, slots=True)
class AggregateKind:
    """What there is to know of one kind of aggregate."""

    base: type[Fact]
    """What all its facts are made from; it gives the kind its name."""
    writer: str
    """The one service that may append them."""
    state: type[Any]
    """What they are folded to."""
    evolve: Callable[[Any, Recorded], Any]
    """The fold: the state after one more event."""
    start: Any = None
    """The state before the first event."""
    view_field: str | None = None
    """Where its state lies in a `DeploymentView`. None where its id is not a deployment's: then a view of all
    has its state apart, by aggregate."""
    followers: frozenset[str] = frozenset()
    """The services that have it in their views."""
    wakes: frozenset[str] = frozenset()
    """The services for which an event of it is a reason to look at its deployment at once."""

    @property
    def name(self) -> str:
        """The third token of the subjects of its events."""
        return self.base.aggregate

    @property
    def filter(self) -> str:
        """Selects all its events."""
        return select(kind=self.name)

    @property
    def facts(self) -> tuple[type[Fact], ...]:
        """In the order in which their module has them."""
        return tuple(fact for fact in CATALOGUE.values() if fact.aggregate == self.name)


AGGREGATES: Final = (
    AggregateKind(NameFact, writer="api", state=NameState, evolve=name.evolve, start=NameState()),
    AggregateKind(ProjectFact, writer="api", state=ProjectState, evolve=project.evolve, start=ProjectState()),
    AggregateKind(
        DeploymentFact,
        writer="api",
        state=DeploymentState,
        evolve=deployment.evolve,
        view_field="deployment",
        followers=_FOLLOWERS,
        wakes=frozenset({"reconciler"}),
    ),
    AggregateKind(
        RolloutFact,
        writer="reconciler",
        state=RolloutState,
        evolve=rollout.evolve,
        start=RolloutState(),
        view_field="rollout",
        followers=_FOLLOWERS,
        wakes=frozenset({"health"}),
    ),
    AggregateKind(
        RosterFact,
        writer="health",
        state=Roster,
        evolve=replica.evolve,
        start=Roster(),
        view_field="roster",
        followers=_FOLLOWERS,
        wakes=frozenset({"reconciler"}),
    ),
    AggregateKind(
        TrafficFact,
        writer="router",
        state=TrafficState,
        evolve=traffic.evolve,
        start=TrafficState(),
        view_field="traffic",
        followers=_FOLLOWERS,
        wakes=frozenset({"reconciler", "health"}),
    ),
    AggregateKind(
        RouterFact,
        writer="router",
        state=RouterState,
        evolve=router.evolve,
        start=RouterState(),
        followers=frozenset({"reconciler", "autoscaler", "router"}),
    ),
    AggregateKind(
        ScalingFact,
        writer="autoscaler",
        state=ScalingState,
        evolve=scaling.evolve,
        start=ScalingState(),
        view_field="scaling",
        followers=_FOLLOWERS,
        wakes=frozenset({"reconciler"}),
    ),
)

BY_NAME: Final[Mapping[str, AggregateKind]] = MappingProxyType({kind.name: kind for kind in AGGREGATES})


def written_by(service: str, kinds: Iterable[AggregateKind] = AGGREGATES) -> tuple[AggregateKind, ...]:
    """The kinds of which a service appends the facts."""
    return tuple(kind for kind in kinds if kind.writer == service)


def waking(service: str, kinds: Iterable[AggregateKind] = AGGREGATES) -> tuple[AggregateKind, ...]:
    """The kinds whose events make a service look at once."""
    return tuple(kind for kind in kinds if service in kind.wakes)


def followed_by(service: str, kinds: Iterable[AggregateKind] = AGGREGATES) -> tuple[AggregateKind, ...]:
    """The kinds that a service keeps in its views."""
    return tuple(kind for kind in kinds if service in kind.followers)
