"""Everything that is true now of one deployment, over all its aggregates, and of all deployments. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from libs.common.events.envelope import Recorded
from libs.common.state import deployment, replica, rollout, traffic
from libs.common.state.deployment import DeploymentState
from libs.common.state.replica import Roster
from libs.common.state.rollout import RolloutState
from libs.common.state.traffic import TrafficState


@dataclass(frozen=True, slots=True)
class DeploymentWorld:
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
    last: Recorded | None = None


def evolve(world: DeploymentWorld | None, event: Recorded) -> DeploymentWorld:
    """Never fails; what it does not know changes nothing but the sequence."""
    if world is None:
        world = DeploymentWorld(event.aggregate.project_id, event.aggregate.id)
    world = replace(world, sequence=event.sequence, last=event)
    match event.aggregate.kind:
        case "deployment":
            return replace(world, deployment=deployment.evolve(world.deployment, event))
        case "rollout":
            return replace(world, rollout=rollout.evolve(world.rollout, event))
        case "replica":
            return replace(world, roster=replica.evolve(world.roster, event))
        case "traffic":
            return replace(world, traffic=traffic.evolve(world.traffic, event))
        case _:
            return world


def fold(events: Iterable[Recorded]) -> DeploymentWorld | None:
    """The events of one deployment, in sequence order; None when there are none."""
    world: DeploymentWorld | None = None
    for event in events:
        world = evolve(world, event)
    return world


@dataclass(slots=True)
class Worlds:
    """Every deployment's world, kept up by a follower: the one mutable thing in this folder.

    A deployment that is deleted and removed is forgotten with its `WorkloadRemoved`.
    """

    by_id: dict[str, DeploymentWorld] = field(default_factory=dict)
    sequence: int = 0

    def apply(self, event: Recorded) -> DeploymentWorld:
        self.sequence = max(self.sequence, event.sequence)
        return self.put(evolve(self.by_id.get(event.aggregate.id), event))

    def put(self, world: DeploymentWorld) -> DeploymentWorld:
        """Take over all that is true of one deployment."""
        is_gone = world.rollout.is_removed and (world.deployment is None or world.deployment.is_deleted)
        if is_gone:
            self.by_id.pop(world.deployment_id, None)
        else:
            self.by_id[world.deployment_id] = world
        return world

    def __iter__(self) -> Iterator[DeploymentWorld]:
        return iter(tuple(self.by_id.values()))
