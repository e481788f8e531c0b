"""What the API shows of a deployment, whether it comes from SQL or from the log folded up to some place."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from libs.common.events.replica import ReplicaState
from libs.common.scaling.in_force import Decided, Scale, in_force


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    id: str
    sequence: int
    name: str
    created_at: str
    deleted_at: str | None = None


def scale_of(data: Mapping[str, Any], scaling_since: str | None) -> Scale:
    """What a spec as the API shows it says about how many replicas there should be."""
    resources = data["resources"]
    autoscaling = resources.get("autoscaling")
    return Scale(
        int(resources["replicas"]),
        is_enabled=data["enabled"],
        max_replicas=None if autoscaling is None else autoscaling["maxReplicas"],
        is_autoscaling_enabled=autoscaling is None or autoscaling["enabled"],
        stretch_id=scaling_since,
    )


@dataclass(frozen=True, slots=True)
class SpecRecord:
    """user_id: who registered it. data: the spec as the API shows it. git: the `x-git-*` headers.
    stalled: why its rollout takes longer than one may; None while it does not.
    command_source: of one that a command registered, the source that its publisher claims. scaling_since: the
    first spec of the stretch with autoscaling on that it is in."""

    id: str
    sequence: int
    deployment_id: str
    run_id: str
    user_id: str
    data: Mapping[str, Any]
    created_at: str
    applied_at: str | None = None
    healthy_at: str | None = None
    error: str | None = None
    stalled: str | None = None
    git: Mapping[str, str] | None = None
    command_source: str | None = None
    scaling_since: str | None = None

    @property
    def scale(self) -> Scale:
        """What it says about how many replicas there should be."""
        return scale_of(self.data, self.scaling_since)

    @property
    def floor(self) -> int:
        """How many there are without any load."""
        return in_force(self.scale, None)


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    id: str
    sequence: int
    project_id: str
    name: str
    created_at: str
    deleted_at: str | None = None
    spec: SpecRecord | None = None
    runs: tuple[str, ...] = ()
    retiring: frozenset[str] = frozenset()
    decided: Decided | None = None
    """The newest decision of the autoscaler."""

    @property
    def wanted_replicas(self) -> int:
        """The number in force."""
        if self.spec is None:
            return 0
        return in_force(self.spec.scale, self.decided, is_deleted=self.deleted_at is not None)


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    id: str
    run_id: str
    state: str
    message: str | None
    created_at: str
    finished_at: str | None
    history: tuple[Mapping[str, str], ...] = ()
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class RunRecord:
    """replicas: the number in force. instances: all that exist, oldest first.

    ready, available: how many that are not leaving are ready, and how many run without being ready.
    stalled: why its rollout takes longer than one may.
    """

    run_id: str
    replicas: int
    ready: int
    available: int
    instances: tuple[InstanceRecord, ...]
    stalled: str | None = None


@dataclass(frozen=True, slots=True)
class ActivityRecord:
    id: int
    action: str
    actor: str
    data: Mapping[str, Any] | None
    created_at: str
    deployment_id: str
    deployment_name: str
    deployment_deleted_at: str | None
    command_source: str | None = None


class Status(StrEnum):
    """One word for a deployment, derived."""

    APPLYING = "applying"
    DEPLOYING = "deploying"
    READY = "ready"
    DEGRADED = "degraded"
    FAILED = "failed"
    DISABLED = "disabled"


def status(spec: SpecRecord, ready: int) -> Status:
    """ready: replicas of the spec's run that get requests. Enough are as many as there are without any load.

    | spec                 | ready              | status    |
    |----------------------|--------------------|-----------|
    | has an error         | -                  | failed    |
    | wants no replicas    | -                  | disabled  |
    | not applied          | -                  | applying  |
    | never healthy so far | -                  | deploying |
    | was healthy          | too few            | degraded  |
    | was healthy          | enough             | ready     |
    """
    if spec.error is not None:
        return Status.FAILED
    if spec.floor == 0:
        return Status.DISABLED
    if spec.applied_at is None:
        return Status.APPLYING
    if spec.healthy_at is None:
        return Status.DEPLOYING
    return Status.READY if ready >= spec.floor else Status.DEGRADED


_AVAILABLE = frozenset({ReplicaState.STARTING, ReplicaState.UNREADY})


def make_runs(deployment: DeploymentRecord, instances: list[InstanceRecord]) -> list[RunRecord]:
    """The runs that have or want replicas: the wanted one first, then as the cluster lists them.

    A replica that is to leave shows as `stopping` and counts for nothing. A run that is not the wanted one
    wants what it still has, until the new run can take over.
    """
    wanted = deployment.spec
    order = [wanted.run_id] if wanted is not None else []
    order += [run_id for run_id in deployment.runs if run_id not in order]
    order += list(dict.fromkeys(i.run_id for i in reversed(instances) if i.run_id not in order))
    runs = []
    for run_id in order:
        shown = [_shown(i, deployment.retiring) for i in instances if i.run_id == run_id]
        staying = [i for i in shown if i.state != ReplicaState.STOPPING]
        is_wanted = wanted is not None and run_id == wanted.run_id
        replicas = deployment.wanted_replicas if is_wanted else len(staying)
        if replicas or shown:
            ready = sum(i.state == ReplicaState.RUNNING for i in staying)
            available = sum(i.state in _AVAILABLE for i in staying)
            stalled = wanted.stalled if wanted is not None and is_wanted else None
            runs.append(RunRecord(run_id, replicas, ready, available, tuple(shown), stalled))
    return runs


def _shown(instance: InstanceRecord, retiring: frozenset[str]) -> InstanceRecord:
    if instance.id not in retiring or instance.state == ReplicaState.STOPPING:
        return instance
    return replace(instance, state=ReplicaState.STOPPING.value)
