"""What is true now of one deployment, over all its aggregates, and of all that is followed. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from libs.common.events.envelope import Aggregate, Recorded
from libs.common.state.aggregates import AGGREGATES, BY_NAME, AggregateKind
from libs.common.state.deployment import DeploymentState
from libs.common.state.replica import Roster
from libs.common.state.rollout import RolloutState
from libs.common.state.scaling import ScalingState
from libs.common.state.traffic import TrafficState


@dataclass(frozen=True, slots=True)
class LastEvent:
    """What is kept of the newest event of a deployment: what a decision made now continues, and its place."""

    type: str
    event_id: str
    correlation_id: str
    traceparent: str | None
    hash: str

    @classmethod
    def of(cls, event: Recorded) -> Self:
        cause = event.cause
        return cls(event.type, event.event_id, cause.correlation_id, cause.traceparent, event.hash)


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """All that the facts say of one deployment."""

    project_id: str
    deployment_id: str
    deployment: DeploymentState | None = None
    rollout: RolloutState = RolloutState()
    roster: Roster = Roster()
    traffic: TrafficState = TrafficState()
    scaling: ScalingState = ScalingState()
    sequence: int = 0
    """Of the newest event."""
    last: LastEvent | None = None
    """The newest event, whose cause a decision made now continues."""

    @property
    def wanted_replicas(self) -> int:
        """The number of replicas in force."""
        return 0 if self.deployment is None else self.deployment.wanted_replicas(self.scaling.decided)

    def says_the_same(self, before: "DeploymentView") -> bool:
        """Whether nothing that was folded after `before` has changed any state: most facts of replicas do
        not, since the pages that come with them have said it already."""
        return all(getattr(self, name) is getattr(before, name) for name in _STATES)


def evolve(view: DeploymentView | None, event: Recorded) -> DeploymentView:
    """Never fails; what it does not know changes nothing but the sequence."""
    if view is None:
        view = DeploymentView(event.aggregate.project_id, event.aggregate.id)
    changes: dict[str, Any] = {"sequence": event.sequence, "last": LastEvent.of(event)}
    kind = BY_NAME.get(event.aggregate.kind)
    if kind is not None and kind.view_field is not None:
        changes[kind.view_field] = kind.evolve(getattr(view, kind.view_field), event)
    return replace(view, **changes)


def fold(events: Iterable[Recorded]) -> DeploymentView | None:
    """The events of one deployment, in sequence order; None when there are none."""
    view: DeploymentView | None = None
    for event in events:
        view = evolve(view, event)
    return view


OF_DEPLOYMENTS: Final = tuple(kind for kind in AGGREGATES if kind.view_field is not None)
"""The kinds that a `DeploymentView` is folded from."""
_STATES: Final = tuple(kind.view_field for kind in OF_DEPLOYMENTS if kind.view_field is not None)


@dataclass(slots=True)
class Views:
    """What is true of everything that a follower follows: the one mutable thing in this folder.

    A deployment that is deleted and removed is forgotten with its `WorkloadRemoved`.
    """

    kinds: tuple[AggregateKind, ...] = OF_DEPLOYMENTS
    """What is followed."""
    by_id: dict[str, DeploymentView] = field(default_factory=dict)
    """The view of each deployment, by its id."""
    apart: dict[Aggregate, Any] = field(default_factory=dict)
    """The state of each aggregate that is named by another id than a deployment's."""
    sequence: int = 0
    _apart_by_name: dict[str, AggregateKind] = field(init=False)

    def __post_init__(self) -> None:
        self._apart_by_name = {kind.name: kind for kind in self.kinds if kind.view_field is None}

    @property
    def filters(self) -> tuple[str, ...]:
        """Select the events of all that is followed."""
        return tuple(kind.filter for kind in self.kinds)

    def apply(self, event: Recorded) -> DeploymentView | None:
        """Take one event in. Returns its deployment's view after it; None where its aggregate is apart."""
        self.sequence = max(self.sequence, event.sequence)
        kind = self._apart_by_name.get(event.aggregate.kind)
        if kind is None:
            return self.put(evolve(self.by_id.get(event.aggregate.id), event))
        before = self.apart.get(event.aggregate, kind.start)
        self.apart[event.aggregate] = kind.evolve(before, event)
        return None

    def take_again(self, events: Iterable[Recorded]) -> Iterator[tuple[DeploymentView | None, Recorded]]:
        """Fold anew what the log has under one id, by its newest event of each subject. Gives each view, or
        None for an aggregate that is apart, with its newest event."""
        names = {kind.name for kind in self.kinds}
        of_deployment: list[Recorded] = []
        apart: dict[Aggregate, list[Recorded]] = defaultdict(list)
        for event in events:
            if event.aggregate.kind in self._apart_by_name:
                apart[event.aggregate].append(event)
            elif event.aggregate.kind in names:
                of_deployment.append(event)
        if (view := fold(of_deployment)) is not None:
            yield self.put(view), of_deployment[-1]
        for aggregate, of_aggregate in apart.items():
            self.apart.pop(aggregate, None)
            for event in of_aggregate:
                self.apply(event)
            yield None, of_aggregate[-1]

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
        self.apart.clear()
        self.sequence = 0

    def __iter__(self) -> Iterator[DeploymentView]:
        return iter(tuple(self.by_id.values()))
