"""What a decision about a deployment is made from: the facts and what is known of its replicas. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from libs.common.autoscaling.usage import Requests
from libs.common.events import replica as roster
from libs.common.events.replica import ReplicaState
from libs.common.scaling.in_force import Scale, bounds_of
from libs.common.scaling.replicas import Bounds, Phase, Replica
from libs.common.scaling.rollout import measured_run
from libs.common.spec.model import Autoscaling, Spec
from libs.common.state.rollout import RolloutState
from libs.common.state.view import DeploymentView
from services.autoscaler.replicas_seen import Seen


@dataclass(frozen=True, slots=True)
class Situation:
    """Of one deployment that scales by load.

    stretch_id: of the specs with autoscaling on. current: the number in force. measured: the replicas of the
    run that is measured, by id, leaving ones among them.
    """

    view: DeploymentView
    spec: Spec
    spec_id: str
    stretch_id: str
    autoscaling: Autoscaling
    bounds: Bounds
    current: int
    is_rolling_out: bool
    measured: Mapping[str, roster.Replica]

    @property
    def leaving(self) -> frozenset[str]:
        return self.view.rollout.retiring


def situate(view: DeploymentView) -> Situation | None:
    """None where load changes nothing: deleted, disabled, at 0, or without autoscaling."""
    deployment = view.deployment
    if (
        deployment is None
        or not deployment.exists
        or deployment.spec is None
        or deployment.spec_id is None
        or deployment.run_id is None
        or deployment.scaling_since is None
    ):
        return None
    scale: Scale = replace(deployment.spec.scale, stretch_id=deployment.scaling_since)
    autoscaling = deployment.spec.resources.autoscaling
    if not scale.is_autoscaled or autoscaling is None:
        return None
    ready = Counter(one.run_id for one in view.roster.ready() if one.replica_id not in view.rollout.retiring)
    run_id = measured_run(ready, newest=deployment.run_id)
    return Situation(
        view,
        deployment.spec,
        deployment.spec_id,
        deployment.scaling_since,
        autoscaling,
        bounds_of(scale),
        view.wanted_replicas,
        _is_rolling_out(view.rollout, ready, deployment.spec_id, deployment.run_id),
        {one.replica_id: one for one in view.roster.replicas if one.run_id == run_id},
    )


def _is_rolling_out(rollout: RolloutState, ready: Mapping[str, int], spec_id: str, run_id: str) -> bool:
    """Whether a new run comes up: the newest spec is neither healthy nor given up, or another run serves.

    ready: how many are and stay, by run.
    """
    if rollout.failed_spec_id == spec_id:
        return False
    progress = rollout.progress
    if progress is not None and progress.spec_id == spec_id and progress.phase.value == "stalled":
        return False
    if rollout.healthy_spec_id != spec_id:
        return True
    return any(run != run_id for run in ready)


def replicas_of(
    situation: Situation,
    seen: Mapping[str, Seen],
    requests: Mapping[str, Requests],
    *,
    of_type: Requests,
) -> tuple[Replica, ...]:
    """The replicas that are measured, as the rules see them.

    requests: what each was created with, as far as it was measured. of_type: of the newest spec's machine
    type, which those of its run have that were not measured yet; those of another run have what the measured
    ones of that run have.
    """
    known = [one for one in requests.values() if one]
    newest = situation.view.deployment.run_id if situation.view.deployment else None
    found = []
    for replica_id, one in situation.measured.items():
        otherwise = of_type if one.run_id == newest else (known[0] if known else {})
        found.append(
            _replica(
                one,
                seen.get(replica_id),
                {**otherwise, **requests.get(replica_id, {})},
                is_leaving=replica_id in situation.leaving or one.state is ReplicaState.STOPPING,
            )
        )
    return tuple(found)


def _replica(one: roster.Replica, seen: Seen | None, requests: Requests, *, is_leaving: bool) -> Replica:
    """One that has ended and waits for its restart runs for the rules: it is missing, and not gone."""
    is_pending = one.state is ReplicaState.PENDING
    return Replica(
        one.replica_id,
        Phase.PENDING if is_pending else Phase.RUNNING,
        None if seen is None else seen.started_at,
        None if seen is None else seen.is_ready,
        None if seen is None else seen.ready_changed_at,
        is_leaving=is_leaving,
        requests=requests,
    )
