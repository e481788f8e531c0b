"""The cluster as its users see it: what it is asked to run, and what it shows.

`local/`, `kubernetes/` and `memory.py` pass one contract suite; where clusters rightly differ, `Abilities`
says so.
A cluster starts a replica that ends unasked again by itself, with the kubelet's back-off: at once, then
10 s, 20 s, 40 s ... 300 s, from the beginning after 10 minutes of running. So a replica survives and
recovers while every service is away.
"""

from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from libs.common.cluster.abilities import Abilities
from libs.common.cluster.changed import Changed
from libs.common.cluster.fencing import Fence
from libs.common.cluster.usage import Used
from libs.common.errors import DeploymentUnavailable
from libs.common.events.envelope import Position
from libs.common.events.replica import ReplicaReason
from libs.common.events.rollout import MoveReason
from libs.common.spec.template import Template
from libs.common.tails.tail import BYTES_OF_A_TIME


@dataclass(frozen=True, slots=True)
class RunWorkload:
    """`replicas` replicas of one template, besides those that are retiring."""

    run_id: str
    spec_id: str
    """The newest spec that the run carries out."""
    template: Template
    replicas: int


@dataclass(frozen=True, slots=True)
class Workload:
    """What a cluster is asked to run for a deployment, whole: a run that is not named here wants nothing."""

    project_id: str
    deployment_id: str
    runs: tuple[RunWorkload, ...]
    retiring: frozenset[str] = frozenset()
    """Replicas that do not count towards a run's number and go on running all the same."""
    stopping: frozenset[str] = frozenset()
    """Those of the retiring that are to end now: SIGTERM, then SIGKILL after the grace period. The cluster
    never picks a replica to stop: with more than `replicas` running and none stopping, all of them go on."""
    traceparent: str | None = None
    """The trace of the change behind it; the cluster keeps it with each replica it creates."""


class ReplicaPhase(StrEnum):
    PENDING = "pending"
    """Recorded; no process yet."""
    RUNNING = "running"
    EXITED = "exited"
    """Its process ended unasked; the cluster will start it again."""
    STOPPING = "stopping"
    """Was told to end and has not ended yet."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: `status` or `signal`; neither when nobody saw it (`unknown`)."""

    status: int | None = None
    signal: int | None = None
    at: datetime | None = None
    reason: ReplicaReason | None = None
    """Why, where the cluster knows more than that."""
    said: str = ""
    """The same in its words."""

    @property
    def message(self) -> str:
        if self.said:
            return self.said
        if self.signal is not None:
            return f"ended by signal {self.signal}"
        if self.status is not None:
            return f"exited with status {self.status}"
        return "ended; exit status unknown"


@dataclass(frozen=True, slots=True)
class ObservedReplica:
    """What the cluster shows of one replica."""

    replica_id: str
    run_id: str
    spec_id: str
    template: Template
    phase: ReplicaPhase
    created_at: datetime
    host: str | None = None
    ports: Mapping[int, int] | None = None
    """The replica's own port for each port of its template."""
    attempt: int = 0
    """How often it was started again."""
    started_at: datetime | None = None
    """When its present process started."""
    last_exit: Exit | None = None
    """How the process before ended."""
    restart_at: datetime | None = None
    """When an exited one is started again."""
    message: str | None = None
    """Why it cannot start, where it cannot; why it is not ready or ends, where the cluster says so."""
    reason: ReplicaReason | None = None
    """The same in one word, where the cluster has one for it."""
    ready: bool | None = None
    """The cluster's own verdict where `probes_natively`, else None."""
    must_move: MoveReason | None = None
    """Why it has to go elsewhere, where it has to."""
    failed_before: int = 0
    """How many times in a row replicas of its run had ended without ever being ready when it was made."""
    traceparent: str | None = None

    @property
    def address(self) -> str | None:
        """`host:port` of the endpoint: the first of the template's ports."""
        if self.host is None or not self.ports:
            return None
        return f"{self.host}:{self.ports[self.template.ports[0]]}"


@dataclass(frozen=True, slots=True)
class ObservedWorkload:
    """What the cluster shows of one deployment."""

    project_id: str
    deployment_id: str
    fence: int
    """The sequence of the newest plan applied."""
    replicas: tuple[ObservedReplica, ...]
    problem: str | None = None
    """Why this deployment could not be observed, while others could. Nothing else of it is known then, which
    is not the same as nothing being there."""
    is_altered: bool = False
    """Whether somebody else has changed what the cluster knows of the deployment; the next `apply` puts it
    back."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a command that was run in a replica: `status` or `signal` where it ended by itself."""

    status: int | None = None
    signal: int | None = None
    has_timed_out: bool = False
    """It was killed, with all that it had started."""
    output: str = ""
    """The first 4 KiB of what it wrote to stdout and stderr."""
    problem: str | None = None
    """Why it could not be started, by a fault of the command."""


def known(workload: ObservedWorkload | None) -> ObservedWorkload | None:
    """`workload`, unless it could not be looked at. Raises DeploymentUnavailable."""
    if workload is not None and workload.problem is not None:
        raise DeploymentUnavailable(workload.problem)
    return workload


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a replica wrote. `id` orders the lines of a deployment and never changes."""

    id: str
    replica_id: str
    message: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class UnreadableLog:
    """What a replica wrote cannot be read now, or what those wrote that are gone (None). message: why, with
    the name of its node if it has one."""

    replica_id: str | None
    message: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """has_more: whether there are lines behind these, in the order asked for. unreadable: replicas whose
    lines may be missing. read: those whose log was read, as far as that is known. after_at: when the line was
    written behind which it begins, to the second, where its id says that."""

    lines: tuple[LogLine, ...] = ()
    has_more: bool = False
    unreadable: tuple[UnreadableLog, ...] = ()
    read: frozenset[str] = frozenset()
    after_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LastWords:
    """The last that a replica wrote, oldest first. problem: why that cannot be read, where it cannot."""

    lines: tuple[LogLine, ...] = ()
    problem: str = ""


def last_of(lines: Iterable[LogLine], most_bytes: int) -> tuple[LogLine, ...]:
    """As many of the last as have room."""
    kept: deque[LogLine] = deque()
    held = 0
    for line in lines:
        kept.append(line)
        held += _size(line)
        while held > most_bytes and len(kept) > 1:
            held -= _size(kept.popleft())
    return tuple(kept)


def _size(line: LogLine) -> int:
    return BYTES_OF_A_TIME + len(line.message.encode())


class Cluster(Protocol):
    """Every method raises ClusterUnavailable when the cluster cannot be asked, and one about a deployment
    raises DeploymentUnavailable when only that one cannot be handled."""

    @property
    def abilities(self) -> Abilities: ...

    @property
    def notices(self) -> tuple[str, ...]:
        """What an operator has to know of this cluster here, such as a protection that it lacks."""
        ...

    async def apply(self, workload: Workload, *, fence: Fence) -> None:
        """Make it so; the same twice changes nothing. `fence` is the event that the plan rests on.

        Raises Fenced when a plan with a higher sequence, or of another log, was applied before,
        CannotApply, with the reason, when this cluster can never run it.
        """
        ...

    async def restart(self, deployment_id: str, replica_id: str, *, attempt: int) -> None:
        """End this process of the replica, so that it is started again; nothing at another attempt.

        Raises CannotApply where `abilities` say that the cluster does not.
        """
        ...

    async def run_check(
        self, deployment_id: str, replica_id: str, *, attempt: int, command: Sequence[str], timeout_s: float
    ) -> Checked:
        """Run a command in a replica, beside its process of this attempt: confined like it, in its directory,
        with its environment and nothing else. When it has ended, when its time is over, or when this is
        cancelled, whatever it started is killed.

        Raises DeploymentUnavailable when that process is not there or cannot be asked, CannotApply where
        `abilities` say that the cluster does not.
        """
        ...

    async def take_over(self, deployment_id: str, *, recorded: Position, fence: Position) -> None:
        """Put `fence` in the place of what refused it: the log says that it does not have that event.

        Nothing when something else is recorded by now.
        """
        ...

    async def remove(self, deployment_id: str, *, fence: Fence) -> None:
        """End every replica of the deployment and forget it with its logs; nothing if there is none.

        Returns at once; `observe` shows it until it is gone. Raises Fenced.
        """
        ...

    async def observe(self, deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        """What there is, by deployment: of one deployment, or of all.

        One that cannot be looked at, while others can, is there with its `problem`.
        """
        ...

    async def confirm(
        self, deployment_id: str, replica_ids: Collection[str], seen: ObservedWorkload | None
    ) -> bool:
        """Make sure of what `observe` showed of these replicas, or that it did not show them: it may be older
        than what somebody else has seen and the log says. Whoever is about to say or do what follows from
        what was `seen` asks this first, and concludes anew if it is true: something else is shown now. Nobody
        is asked where that is sure already."""
        ...

    def watch(self) -> AsyncIterator[Changed]:
        """Which deployments to look at again, as soon as they change, whoever changes them; never ends.

        The first one is EVERYTHING, and so is each one before which something may have been missed. Whoever
        looks after it was told misses nothing. A deployment that did not change may be named now and then,
        but one of which nothing exists costs nothing. When the cluster cannot be asked it raises
        ClusterUnavailable, and has to be called again.
        """
        ...

    async def usage(self) -> Sequence[Used]:
        """What each replica that has a process used since this was asked before, or over the window of the
        cluster's own measurement. A replica of which nothing is known is not there.

        Others have their turn meanwhile, however many replicas there are. Raises ClusterUnavailable, also
        where nobody measures.
        """
        ...

    async def logs(
        self,
        deployment_id: str,
        *,
        limit: int,
        replica_id: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
    ) -> LogPage:
        """At most `limit` lines that the replicas of a deployment wrote, all of them or one; oldest first
        unless asked. Where the cluster `keeps_last_words` those of the gone ones are among them.

        What it reads grows with the lines that it gives and the replicas that there are, not with what was
        written. after: the id of a line; only what comes behind it in that order. Raises BadRequest for what
        is no such id.
        """
        ...

    def last_words(
        self, deployment_id: str, replica_id: str, *, most_bytes: int, ends_within_s: float
    ) -> AsyncIterator[LastWords]:
        """The end of what a replica wrote, its process before the present one included: as it is now, and
        once more when its process has ended, if that is within so many seconds; 0 asks for the first only.
        The second may be what was written until then. Nothing where there is no such replica.

        most_bytes: of the lines, each with `BYTES_OF_A_TIME`. Raises CannotApply where the cluster
        `keeps_last_words`, and so has them for as long as the deployment.
        """
        ...
