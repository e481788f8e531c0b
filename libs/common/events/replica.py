"""Facts of a deployment's replicas, each with the whole roster after it. Their id is the deployment's."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict

from libs.common.events.fact import Fact, FactPart


class ReplicaState(StrEnum):
    """What a replica is doing; the `state` of an instance in the API."""

    PENDING = "pending"
    """Asked for; no process yet."""
    STARTING = "starting"
    """Runs, and has not been ready since it was started."""
    RUNNING = "running"
    """Ready: it may get requests."""
    UNREADY = "unready"
    """Runs, was ready since it was started, and is not now."""
    FAILED = "failed"
    """Has ended unasked and waits for its restart."""
    STOPPING = "stopping"
    """Was told to end."""


class ProbeKind(StrEnum):
    STARTUP = "startup"
    READINESS = "readiness"
    LIVENESS = "liveness"


class ReplicaReason(StrEnum):
    """Why a replica changed; closed."""

    SPAWNED = "spawned"
    PROBE_SUCCEEDED = "probe_succeeded"
    PORT_ACCEPTED = "port_accepted"
    PROBE_FAILED = "probe_failed"
    EXITED = "exited"
    KILLED = "killed"
    EXIT_UNKNOWN = "exit_unknown"
    CONDEMNED = "condemned"
    STOPPED = "stopped"
    LOST = "lost"


class Replica(FactPart):
    """One line of the roster.

    spec_id: the spec it was created for. address: `host:port` of its endpoint, None before it has one.
    attempt: how often it was started again; 0 for its first process.
    ready_at: when it was first ready, whatever happened since; None if it never was.
    condemned_attempt: the attempt that a probe has sentenced, so that exactly that process is ended.
    startup_passed_attempt: the attempt whose startup check has succeeded, so that it is not repeated.
    message: for people: the exit status or signal, or the probe's kind and status.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    replica_id: str
    run_id: str
    spec_id: str
    state: ReplicaState
    address: str | None = None
    attempt: int = 0
    created_at: datetime
    started_at: datetime | None = None
    ready_at: datetime | None = None
    condemned_attempt: int | None = None
    startup_passed_attempt: int | None = None
    reason: ReplicaReason | None = None
    message: str | None = None


class ReplicaFact(Fact):
    """replica_id: the one that changed. roster: all that exist after it, oldest first."""

    aggregate: ClassVar[str] = "replica"
    writer: ClassVar[str] = "health"

    replica_id: str
    roster: tuple[Replica, ...]


class ReplicaStarted(ReplicaFact):
    """It exists, and its process may be running."""


class ReplicaBecameReady(ReplicaFact):
    """It may get requests."""

    reason: ReplicaReason


class ReplicaBecameUnready(ReplicaFact):
    """It may get none until it is ready again."""

    reason: ReplicaReason
    message: str


class ReplicaCondemned(ReplicaFact):
    """A startup or liveness check has failed too often: this process has to go."""

    probe: ProbeKind
    reason: ReplicaReason
    message: str


class ReplicaRestarted(ReplicaFact):
    """A new process runs in its place."""

    reason: ReplicaReason
    message: str


class ReplicaStopped(ReplicaFact):
    """Its process has ended: for good if the roster no longer has it, else until its restart."""

    reason: ReplicaReason
    message: str
