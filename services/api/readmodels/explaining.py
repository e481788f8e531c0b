"""Why a deployment has as many replicas as it has, from all that the facts say of it. Pure."""

from collections import Counter
from dataclasses import dataclass

from libs.common.events.replica import ReplicaState
from libs.common.scaling.in_force import Scale, bounds_of
from libs.common.scaling.replicas import Bounds
from libs.common.spec.model import Autoscaling
from libs.common.state.view import DeploymentView

MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Replicas that are wanted and not ready. message: why, as far as it is known."""

    replicas: int
    state: str
    message: str | None


@dataclass(frozen=True, slots=True)
class Explained:
    """As `ExplainAnswer`. bounds, policy: None where load does not move the number."""

    replicas: int
    why: str
    ready: int
    bounds: Bounds | None = None
    policy: Autoscaling | None = None
    waiting: tuple[Waiting, ...] = ()


def explained(view: DeploymentView) -> Explained:
    deployment = view.deployment
    if deployment is None or deployment.spec is None:
        return Explained(0, "no spec was registered", 0)
    scale = deployment.spec.scale
    replicas = view.wanted_replicas
    ready = sum(
        replica.replica_id not in view.rollout.retiring for replica in view.roster.ready(deployment.run_id)
    )
    is_autoscaled = scale.is_autoscaled and deployment.exists
    return Explained(
        replicas,
        _why(view, scale, replicas, is_deleted=deployment.is_deleted),
        ready,
        bounds_of(scale) if is_autoscaled else None,
        deployment.spec.resources.autoscaling if is_autoscaled else None,
        _waiting(view, deployment.run_id, replicas),
    )


def _why(view: DeploymentView, scale: Scale, replicas: int, *, is_deleted: bool) -> str:
    if is_deleted:
        return "the deployment is deleted"
    if not scale.is_enabled:
        return "the deployment is disabled"
    if scale.replicas == 0:
        return "the spec asks for 0, which stops it whatever the load"
    if scale.max_replicas is None:
        return f"the spec asks for {replicas}"
    if not scale.is_autoscaling_enabled:
        return f"the spec asks for {replicas}, and its autoscaling is off"
    decided = view.scaling.decided
    since = None if view.deployment is None else view.deployment.scaling_since
    if decided is None or decided.stretch_id != since:
        return f"{replicas} is the floor, and nothing was decided since autoscaling is on"
    if decided.replicas == replicas:
        return f"{replicas} was decided"
    bound = "floor" if decided.replicas < replicas else "ceiling"
    return f"{decided.replicas} was decided, and {replicas} is the {bound} now"


def _waiting(view: DeploymentView, run_id: str | None, replicas: int) -> tuple[Waiting, ...]:
    """The most first."""
    staying = [
        one
        for one in view.roster.replicas
        if one.run_id == run_id
        and one.replica_id not in view.rollout.retiring
        and one.state is not ReplicaState.STOPPING
    ]
    found = Counter(
        (one.state.value, one.message or None) for one in staying if one.state is not ReplicaState.RUNNING
    )
    missing = replicas - len(staying)
    if missing > 0:
        is_failed = view.rollout.failed_spec_id == (view.deployment.spec_id if view.deployment else None)
        found[MISSING, view.rollout.failure if is_failed else None] += missing
    if replicas == 0:
        return ()
    return tuple(Waiting(count, state, message) for (state, message), count in found.most_common())
