"""Deployments, their specs, runs, instances and log lines, as the reference API shapes them (1.5)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self
from uuid import UUID, uuid5

from pydantic import ConfigDict, Field

from libs.common.bus.checks import CheckSignal, ExitSignal, ReplicaSignal
from libs.common.clock import to_rfc3339
from libs.common.cluster.port import LogLine, LogPage
from libs.common.domain import endpoint_host
from libs.common.events.envelope import TEAM
from services.api.edge.schemas.base import Answer, PageOf
from services.api.readmodels.records import (
    DeploymentRecord,
    InstanceRecord,
    RunRecord,
    SpecRecord,
    Status,
    status,
)


class GitHeadersAnswer(Answer):
    """What the headers of the same names said; empty where one was not sent."""

    model_config = ConfigDict(
        frozen=True, alias_generator=lambda name: f"x-git-{name}", populate_by_name=True
    )

    actor: str = ""
    host: str = ""
    owner: str = ""
    ref: str = ""
    repo: str = ""
    sha: str = ""


class SpecMetadata(Answer):
    git_headers: GitHeadersAnswer


class SpecAnswer(Answer):
    """data: the spec, defaults filled in. externalApplied: when the cluster took it. dtHealthy: when it was
    first healthy. error: why the whole configuration could not be applied. userId: who is answerable.
    commandSource: of a spec that a command registered, the source that its publisher claims."""

    id: str
    deployment_id: str
    user_id: str
    command_source: str | None
    data: dict[str, Any]
    dt_created: str
    external_applied: str | None
    dt_healthy: str | None
    error: str | None
    run_id: str
    metadata: SpecMetadata | None

    @classmethod
    def of(cls, spec: SpecRecord) -> Self:
        return cls(
            id=spec.id,
            deployment_id=spec.deployment_id,
            user_id=spec.user_id,
            command_source=spec.command_source,
            data=dict(spec.data),
            dt_created=spec.created_at,
            external_applied=spec.applied_at,
            dt_healthy=spec.healthy_at,
            error=spec.error,
            run_id=spec.run_id,
            metadata=SpecMetadata(git_headers=GitHeadersAnswer(**spec.git)) if spec.git else None,
        )


class HistoryAnswer(SpecAnswer):
    """workflowRun: what built the spec in the reference API; nothing here builds one."""

    workflow_run: None = None


class PlaceAnswer(Answer):
    """A place in the log, and the time that was asked for, if it was a time."""

    sequence: int
    time: str | None


class DeploymentAnswer(Answer):
    """endpoint: `host:port`, no scheme. latestSpecHash: of the latest spec's content."""

    id: str
    name: str
    project_id: str
    team_id: str
    endpoint: str
    dt_created: str
    status: Status | None
    latest_spec_hash: str | None
    latest_spec: SpecAnswer | None
    at: PlaceAnswer | None = Field(default=None, exclude_if=lambda at: at is None)

    @classmethod
    def of(
        cls,
        deployment: DeploymentRecord,
        *,
        ready: int,
        domain: str,
        edge_port: int,
        at: PlaceAnswer | None = None,
    ) -> "DeploymentAnswer":
        spec = deployment.spec
        return cls(
            id=deployment.id,
            name=deployment.name,
            project_id=deployment.project_id,
            team_id=TEAM,
            endpoint=f"{endpoint_host(deployment.id, domain)}:{edge_port}",
            dt_created=deployment.created_at,
            status=status(spec, ready) if spec else None,
            latest_spec_hash=spec_hash(spec.data) if spec else None,
            latest_spec=SpecAnswer.of(spec) if spec else None,
            at=at,
        )


class SubmittedAnswer(Answer):
    deployment_id: str


class DeletedAnswer(Answer):
    id: str


class RolledBackAnswer(Answer):
    """specId: of the spec that is in force now."""

    deployment_id: str
    spec_id: str


class HistoryEntry(Answer):
    state: str
    message: str
    timestamp: str


ABSENT: Any = Field(default=None, exclude_if=lambda value: value is None)
"""A field that is left out where its value is not known."""


class LastExitAnswer(Answer):
    """How the process before ended: `status` or `signal`, and when; absent where nobody saw it."""

    status: int | None = ABSENT
    signal: int | None = ABSENT
    at: str | None = ABSENT

    @classmethod
    def of(cls, ended: ExitSignal) -> "LastExitAnswer":
        at = None if ended.at is None else to_rfc3339(ended.at)
        return cls(status=ended.status, signal=ended.signal, at=at)


class CheckAnswer(Answer):
    """check: startup, readiness, liveness, or port, which stands in for readiness. standing: unknown, passing
    or failing. failures: in a row. outcome: of the last attempt: success, failure, or error where it could
    not be made. message: why. output: what a command wrote, its beginning. dtChecked: when it ended.
    latencySeconds: how long it took. What is not known is absent, before the first attempt all of these."""

    check: str
    standing: str
    failures: int
    outcome: str | None = ABSENT
    message: str | None = ABSENT
    output: str | None = ABSENT
    dt_checked: str | None = ABSENT
    latency_seconds: float | None = ABSENT

    @classmethod
    def of(cls, told: CheckSignal) -> "CheckAnswer":
        return cls(
            check=told.check,
            standing=told.standing,
            failures=told.failures,
            outcome=told.outcome,
            message=told.message,
            output=told.output,
            dt_checked=None if told.at is None else to_rfc3339(told.at),
            latency_seconds=told.latency_s,
        )


class InstanceAnswer(Answer):
    """state: pending, starting, running, unready, failed or stopping. stateMessage: exit status or signal, or
    the probe's kind and status. dtFinished: when the process of a failed one ended. restarts: how often it
    was started again. lastExit, checks: as health told last; absent when that is not known, and checks also
    where the cluster makes them itself."""

    id: str
    instance_id: str
    state: str
    state_message: str | None
    dt_created: str
    dt_finished: str | None
    history: list[HistoryEntry]
    restarts: int
    last_exit: LastExitAnswer | None = Field(default=None, exclude_if=lambda ended: ended is None)
    checks: list[CheckAnswer] | None = Field(default=None, exclude_if=lambda checks: checks is None)

    @classmethod
    def of(cls, instance: InstanceRecord, told: ReplicaSignal | None = None) -> "InstanceAnswer":
        """told: left out where it is of another process than the record."""
        if told is not None and told.attempt != instance.restarts:
            told = None
        return cls(
            restarts=instance.restarts,
            last_exit=None if told is None or told.last_exit is None else LastExitAnswer.of(told.last_exit),
            checks=[CheckAnswer.of(check) for check in told.checks] if told and told.checks else None,
            id=instance.id,
            instance_id=instance.id,
            state=instance.state,
            state_message=instance.message,
            dt_created=instance.created_at,
            dt_finished=instance.finished_at,
            history=[HistoryEntry.model_validate(entry) for entry in instance.history],
        )


class RunAnswer(Answer):
    """replicas: desired. availableReplicas: available but not ready, which is to say that they run.
    stalled: why its rollout takes longer than one may; null while it does not."""

    id: str
    replicas: int
    ready_replicas: int
    available_replicas: int
    stalled: str | None
    instances: list[InstanceAnswer]

    @classmethod
    def of(cls, run: RunRecord, signals: Mapping[str, ReplicaSignal] | None = None) -> "RunAnswer":
        return cls(
            id=run.run_id,
            replicas=run.replicas,
            ready_replicas=run.ready,
            available_replicas=run.available,
            stalled=run.stalled,
            instances=[InstanceAnswer.of(each, (signals or {}).get(each.id)) for each in run.instances],
        )


_LINES = UUID("0c5d0a3f-0f5c-4f0a-8a43-5a9f1f4f7a52")
"""The namespace of log lines' uuids."""


class LogItem(Answer):
    """jobId: the deployment's id. uuid: as unique as `id`.

    id: also a cursor. The lines that come after it in the order asked for are the next page.
    """

    id: str
    job_id: str
    message: str
    dt_created: str
    instance_id: str
    uuid: str

    @classmethod
    def of(cls, deployment_id: str, line: LogLine) -> "LogItem":
        return cls(
            id=line.id,
            job_id=deployment_id,
            message=line.message,
            dt_created=to_rfc3339(line.written_at),
            instance_id=line.replica_id,
            uuid=str(uuid5(_LINES, line.id)),
        )


class LogNotice(Answer):
    """Lines of this instance may be missing, and why; null where it is of those that are gone."""

    instance_id: str | None
    message: str


class LogPageAnswer(PageOf[LogItem]):
    """notices: only where there is something to say."""

    notices: list[LogNotice] = Field(default_factory=list, exclude_if=lambda notices: not notices)

    @classmethod
    def of(cls, deployment_id: str, page: LogPage) -> "LogPageAnswer":
        return cls(
            items=[LogItem.of(deployment_id, line) for line in page.lines],
            has_more=page.has_more,
            next_page=page.lines[-1].id if page.has_more else None,
            notices=[LogNotice(instance_id=one.replica_id, message=one.message) for one in page.unreadable],
        )


class Difference(Answer):
    """One leaf that differs; a side that does not have it is null."""

    path: str
    from_: Any = Field(alias="from")
    to: Any


def differences(found: Sequence[Mapping[str, Any]]) -> list[Difference]:
    return [Difference.model_validate(difference) for difference in found]


def spec_hash(data: Mapping[str, Any]) -> str:
    """md5 of the spec's canonical JSON, every default filled in. Clients only compare it with their own."""
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.md5(canonical.encode(), usedforsecurity=False).hexdigest()
