"""Facts of a deployment's replicas, and the pages of its roster after them. Their id is the deployment's."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Self

from pydantic import ConfigDict, Field, model_validator

from libs.common.events.fact import Fact, FactPart, MadeId
from libs.common.moment import Moment

MOST: Final = 2**31 - 1
"""Of what is counted for one replica: more than there ever is, and what every table and subject can hold."""


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
    UNSCHEDULABLE = "unschedulable"
    """No node has room for it, or none may have it."""
    PULLING = "pulling"
    """Its image is being fetched."""
    IMAGE_PULL = "image_pull"
    """Its image cannot be had."""
    CANNOT_START = "cannot_start"
    """Its container cannot be made or started."""
    OUT_OF_MEMORY = "out_of_memory"
    DELETED = "deleted"
    """Somebody else has deleted it."""
    EVICTED = "evicted"
    PREEMPTED = "preempted"
    """It had to make room for something of a higher priority."""
    REJECTED = "rejected"
    """Its node has refused it."""
    NODE_LOST = "node_lost"
    """Its node does not answer."""


class Replica(FactPart):
    """One line of the roster.

    slot: its place in the pages of the roster, which it keeps while it exists: the lowest that was free.
    spec_id: the spec it was created for. address: `host:port` of its endpoint, None before it has one.
    attempt: how often it was started again; 0 for its first process.
    ready_at: when it was first ready, whatever happened since; None if it never was.
    condemned_attempt: the attempt that a probe has sentenced, so that exactly that process is ended.
    startup_passed_attempt: the attempt whose startup check has succeeded, so that it is not repeated.
    changed_at: when it became ready or ceased to be, the last few times, the newest last.
    must_stay_ready_s: how long it has to be ready without interruption before it counts as ready again,
    because its readiness comes and goes.
    full_until: until when the events about it that were written count against those it may have; None for
    none. Only one that comes and goes often has to wait for it.
    message: for people: the exit status or signal, or the probe's kind and status.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    replica_id: MadeId
    slot: Annotated[int, Field(ge=0, le=MOST)] = 0
    run_id: MadeId
    spec_id: MadeId
    state: ReplicaState
    address: str | None = None
    attempt: Annotated[int, Field(ge=0, le=MOST)] = 0
    created_at: Moment
    started_at: Moment | None = None
    ready_at: Moment | None = None
    condemned_attempt: int | None = None
    startup_passed_attempt: int | None = None
    changed_at: tuple[Moment, ...] = ()
    must_stay_ready_s: Annotated[int, Field(ge=0, le=MOST)] = 0
    full_until: Moment | None = None
    reason: ReplicaReason | None = None
    message: str | None = None


class RosterFact(Fact):
    aggregate: ClassVar[str] = "replica"


class ReplicaFact(RosterFact):
    """One replica has changed.

    replica: as it is after it; absent when it is gone for good. roster: only in events of version 1, which
    had all replicas that exist after it, oldest first, instead of the one.
    """

    version: ClassVar[int] = 2
    earlier_versions: ClassVar[tuple[int, ...]] = (1,)

    replica_id: MadeId
    replica: Replica | None = None
    roster: tuple[Replica, ...] | None = None

    @model_validator(mode="after")
    def _read_version_1(self) -> Self:
        if self.roster is not None and self.replica is None:
            found = next((r for r in self.roster if r.replica_id == self.replica_id), None)
            object.__setattr__(self, "replica", found)
        return self


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
    """Its process has ended: for good if there is no `replica`, else until its restart."""

    reason: ReplicaReason
    message: str


class RosterRecorded(RosterFact):
    """One page of the roster as it is after the changes that are appended with it.

    page: also the end of its subject. pages: how many the roster has; one beyond them counts no more.
    replicas: those whose slots are on the page, in their order; the other pages are as last recorded.
    """

    is_paged: ClassVar[bool] = True

    page: int
    pages: int
    replicas: tuple[Replica, ...]

    def subject_page(self) -> int:
        return self.page
