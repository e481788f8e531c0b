"""Everything that is true now of one deployment, over all its aggregates, and of all deployments. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

from libs.common.events.envelope import Recorded
from libs.common.state import deployment, replica, rollout, traffic
from libs.common.state.deployment import DeploymentState
from libs.common.state.replica import Roster
from libs.common.state.rollout import RolloutState
from libs.common.state.traffic import TrafficState


@dataclass(frozen=True, slots=True)
class LastEvent:
    """What is kept of the newest event of a deployment: what a decision made now continues, and its place.

    kind: of its aggregate.
    """

    kind: str
    event_id: str
    correlation_id: str
    traceparent: str | None
    hash: str

    @classmethod
    def of(cls, event: Recorded) -> Self:
        cause = event.cause
        kind = event.aggregate.kind
        return cls(kind, event.event_id, cause.correlation_id, cause.traceparent, event.hash)


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """All that the facts say of one deployment.

    sequence: of the newest event. last: that event, whose cause a decision made now continues.
    """

    project_id: str
    deployment_id: str
    deployment: DeploymentState | None = None
    rollout: RolloutState = RolloutState()
    roster: Roster = Roster()
    traffic: TrafficState = TrafficState()
    sequence: int = 0
    last: LastEvent | None = None


def evolve(view: DeploymentView | None, event: Recorded) -> DeploymentView:
    """Never fails; what it does not know changes nothing but the sequence."""
    if view is None:
        view = DeploymentView(event.aggregate.project_id, event.aggregate.id)
    changes: dict[str, Any] = {"sequence": event.sequence, "last": LastEvent.of(event)}
    match event.aggregate.kind:
        case "deployment":
            changes["deployment"] = deployment.evolve(view.deployment, event)
        case "rollout":
            changes["rollout"] = rollout.evolve(view.rollout, event)
        case "replica":
            changes["roster"] = replica.evolve(view.roster, event)
        case "traffic":
            changes["traffic"] = traffic.evolve(view.traffic, event)
    return replace(view, **changes)


def fold(events: Iterable[Recorded]) -> DeploymentView | None:
    """The events of one deployment, in sequence order; None when there are none."""
    view: DeploymentView | None = None
    for event in events:
        view = evolve(view, event)
    return view


@dataclass(slots=True)
class DeploymentViews:
    """Every deployment's view, kept up by a follower: the one mutable thing in this folder.

    A deployment that is deleted and removed is forgotten with its `WorkloadRemoved`.
    """

    by_id: dict[str, DeploymentView] = field(default_factory=dict)
    sequence: int = 0

    def apply(self, event: Recorded) -> DeploymentView:
        self.sequence = max(self.sequence, event.sequence)
        return self.put(evolve(self.by_id.get(event.aggregate.id), event))

    def put(self, view: DeploymentView) -> DeploymentView:
        """Take over all that is true of one deployment."""
        is_gone = view.rollout.is_removed and (view.deployment is None or view.deployment.is_deleted)
        if is_gone:
            self.by_id.pop(view.deployment_id, None)
        else:
            self.by_id[view.deployment_id] = view
        return view

    def clear(self) -> None:
        self.by_id.clear()
        self.sequence = 0

    def __iter__(self) -> Iterator[DeploymentView]:
        return iter(tuple(self.by_id.values()))
