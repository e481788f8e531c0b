"""What the API shows of a deployment, whether it comes from SQL or from the log folded up to some place."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from libs.common.events.replica import ReplicaState
from libs.common.spec.model import wanted_replicas


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    id: str
    sequence: int
    name: str
    created_at: str
    deleted_at: str | None = None


@dataclass(frozen=True, slots=True)
class SpecRecord:
    """user_id: who registered it. data: the spec as the API shows it. git: the `x-git-*` headers.
    command_source: of one that a command registered, the source that its publisher claims."""

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
    git: Mapping[str, str] | None = None
    command_source: str | None = None

    @property
    def wanted_replicas(self) -> int:
        return wanted_replicas(enabled=self.data["enabled"], replicas=int(self.data["resources"]["replicas"]))


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
    """replicas: desired. instances: all that exist, oldest first.

    ready, available: how many that are not leaving are ready, and how many run without being ready.
    """

    run_id: str
    replicas: int
    ready: int
    available: int
    instances: tuple[InstanceRecord, ...]


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
    """ready: replicas of the spec's run that get requests.

    | spec                 | ready              | status    |
    |----------------------|--------------------|-----------|
    | has an error         | -                  | failed    |
    | wants no replicas    | -                  | disabled  |
    | not applied          | -                  | applying  |
    | never healthy so far | -                  | deploying |
    | was healthy          | fewer than wanted  | degraded  |
    | was healthy          | as many as wanted  | ready     |
    """
    if spec.error is not None:
        return Status.FAILED
    if spec.wanted_replicas == 0:
        return Status.DISABLED
    if spec.applied_at is None:
        return Status.APPLYING
    if spec.healthy_at is None:
        return Status.DEPLOYING
    return Status.READY if ready >= spec.wanted_replicas else Status.DEGRADED


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
        replicas = wanted.wanted_replicas if wanted is not None and is_wanted else len(staying)
        if replicas or shown:
            ready = sum(i.state == ReplicaState.RUNNING for i in staying)
            available = sum(i.state in _AVAILABLE for i in staying)
            runs.append(RunRecord(run_id, replicas, ready, available, tuple(shown)))
    return runs


def _shown(instance: InstanceRecord, retiring: frozenset[str]) -> InstanceRecord:
    if instance.id not in retiring or instance.state == ReplicaState.STOPPING:
        return instance
    return replace(instance, state=ReplicaState.STOPPING.value)
