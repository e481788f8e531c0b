"""What people asked for, now: the fold of a `deployment` aggregate. Pure."""

from dataclasses import dataclass, replace

from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, SpecRegistered
from libs.common.events.envelope import Recorded
from libs.common.scaling.in_force import Decided, in_force
from libs.common.spec.model import Spec


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """`spec`, `spec_id` and `run_id` are those of the newest registered spec."""

    project_id: str
    deployment_id: str
    name: str = ""
    spec: Spec | None = None
    spec_id: str | None = None
    run_id: str | None = None
    scaling_since: str | None = None
    """The first spec of the stretch with autoscaling on that the newest spec is in; None: in none."""
    spec_traceparent: str | None = None
    """The trace of the request that registered the newest spec."""
    correlation_id: str | None = None
    """Of the request that registered the newest spec, or that deleted the deployment."""
    is_created: bool = False
    is_deleted: bool = False

    @property
    def exists(self) -> bool:
        return self.is_created and not self.is_deleted

    def wanted_replicas(self, decided: Decided | None) -> int:
        """The number in force. decided: the newest decision of the autoscaler."""
        if self.spec is None:
            return 0
        scale = replace(self.spec.scale, stretch_id=self.scaling_since)
        return in_force(scale, decided, is_deleted=not self.exists)


def evolve(state: DeploymentState | None, event: Recorded) -> DeploymentState:
    """Never fails; what it does not know changes nothing."""
    if state is None:
        state = DeploymentState(event.aggregate.project_id, event.aggregate.id)
    match event.fact:
        case DeploymentCreated(name=name):
            return replace(state, is_created=True, name=name)
        case SpecRegistered() as fact:
            return replace(
                state,
                name=fact.spec.name,
                spec=fact.spec,
                spec_id=fact.spec_id,
                run_id=fact.run_id,
                scaling_since=fact.scaling_since,
                spec_traceparent=event.cause.traceparent,
                correlation_id=event.cause.correlation_id,
            )
        case DeploymentDeleted():
            return replace(state, is_deleted=True, correlation_id=event.cause.correlation_id)
        case _:
            return state
