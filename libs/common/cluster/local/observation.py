"""Observing every replica, cheaply enough to do it several times a second.

A directory's modification time changes with every file put in place in it. So a replica that did not
change costs one `stat` and one question for its shim, and what was read of it before is used again.
"""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from libs.common.clock import Clock
from libs.common.cluster.local.home import Home, WorkloadRecord, is_stopping
from libs.common.cluster.local.record import Record, load_record
from libs.common.cluster.local.shim import files, proc
from libs.common.cluster.local.shim.state import State
from libs.common.cluster.local.usage import Running
from libs.common.cluster.port import Exit, ObservedReplica, ObservedWorkload, ReplicaPhase

logger = structlog.get_logger()

HOST = "127.0.0.1"
ONE_DEPLOYMENTS = frozenset(
    {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOTEMPTY, errno.ENXIO}
)
"""Errors that what lies in one deployment's folder causes; any other one is everybody's."""
_CLOCK_TICK_NS = 100_000_000
"""Two changes within one tick of the file system's clock show as one: what is younger is read again."""
_LAUNCH_TAKES_S = 2.0
"""So long a new replica may be without a shim: whoever created it is about to start one."""


@dataclass(slots=True)
class Observed:
    workloads: dict[str, ObservedWorkload] = field(default_factory=dict)
    """By deployment."""
    unattended: list[Path] = field(default_factory=list)
    """Directories of replicas that lack a shim."""
    vacated: list[str] = field(default_factory=list)
    """Removed deployments whose last replica is gone."""


@dataclass(frozen=True, slots=True)
class _Replica:
    changed_ns: int
    is_supervised: bool
    is_settled: bool
    record: Record
    state: State
    shown: ObservedReplica


@dataclass(frozen=True, slots=True)
class _Deployment:
    changed_ns: int
    is_settled: bool
    record: WorkloadRecord
    directories: tuple[Path, ...]
    vacant: ObservedWorkload
    """As it is shown while it has no replicas; the same object until it changes."""


class Observer:
    """What one process has seen of the home's replicas."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._replicas: dict[Path, _Replica] = {}
        self._deployments: dict[str, _Deployment] = {}

    def observe(self, deployment_ids: Iterable[str], seen: Observed | None = None) -> Observed:
        """What there is of these deployments, added to `seen`. Raises OSError."""
        seen = Observed() if seen is None else seen
        now = self._clock()
        for deployment_id in deployment_ids:
            try:
                self._observe_one(deployment_id, seen, now)
            except Exception as error:
                # Its replicas may write into their folders, and even lock them: that is no reason to see
                # nothing of the others.
                if isinstance(error, OSError) and error.errno not in ONE_DEPLOYMENTS:
                    raise
                problem = f"{type(error).__name__}: {error}"
                seen.workloads[deployment_id] = ObservedWorkload("", deployment_id, 0, (), problem)
        return seen

    def _observe_one(self, deployment_id: str, seen: Observed, now: datetime) -> None:
        deployment = self._observe_deployment(deployment_id, now)
        if deployment is None:
            return
        if not deployment.directories and not deployment.record.is_removed:
            seen.workloads[deployment_id] = deployment.vacant
            return
        replicas = [
            replica
            for directory in deployment.directories
            if (replica := self._observe_replica(directory, now)) is not None
        ]
        if deployment.record.is_removed and not replicas:
            seen.vacated.append(deployment_id)
            return
        seen.unattended += [
            self._home.deployment(deployment_id) / replica.record.replica_id
            for replica in replicas
            if not replica.is_supervised and _is_overdue(replica, now)
        ]
        seen.workloads[deployment_id] = ObservedWorkload(
            project_id=deployment.record.project_id,
            deployment_id=deployment_id,
            fence=deployment.record.fence,
            replicas=tuple(
                replica.shown for replica in sorted(replicas, key=lambda replica: replica.record.order)
            ),
        )

    def running(self) -> list[Running]:
        """The replicas that had a process when they were observed last."""
        return [
            Running(seen.record, directory, seen.state.attempt or 0, seen.state.pid, seen.state.start_ticks)
            for directory, seen in self._replicas.items()
            if seen.state.pid is not None
        ]

    def forget_all_but(self, deployment_ids: list[str]) -> None:
        """Drop what was seen of deployments that are no more."""
        for deployment_id in self._deployments.keys() - set(deployment_ids):
            for directory in self._deployments.pop(deployment_id).directories:
                self._replicas.pop(directory, None)

    def _observe_deployment(self, deployment_id: str, now: datetime) -> _Deployment | None:
        known = self._deployments.get(deployment_id)
        changed_ns = _changed_ns(self._home.deployment(deployment_id))
        if known is not None and known.is_settled and known.changed_ns == changed_ns:
            return known
        directories = tuple(self._home.replicas(deployment_id))
        for left in set(known.directories if known else ()) - set(directories):
            self._replicas.pop(left, None)
        record = self._home.workload(deployment_id)
        if record is None or changed_ns is None:
            self._deployments.pop(deployment_id, None)
            return None
        vacant = ObservedWorkload(record.project_id, deployment_id, record.fence, ())
        seen = _Deployment(changed_ns, _is_settled(changed_ns, now), record, directories, vacant)
        self._deployments[deployment_id] = seen
        return seen

    def _observe_replica(self, directory: Path, now: datetime) -> _Replica | None:
        known = self._replicas.get(directory)
        changed_ns = _changed_ns(directory)
        is_supervised = files.is_supervised(str(directory))
        if (
            known is not None
            and known.is_settled
            and is_supervised
            and (known.is_supervised, known.changed_ns) == (True, changed_ns)
        ):
            return known
        record = known.record if known else load_record(directory)
        stored = files.read_json(f"{directory}/{files.STATE}")
        is_told_to_stop = is_stopping(directory)
        if record is None or changed_ns is None or not directory.exists():
            self._replicas.pop(directory, None)
            return None
        state = State(stored)
        shown = show(
            record,
            state,
            is_told_to_stop=is_told_to_stop,
            is_process_known_to_live=is_supervised,
        )
        seen = _Replica(changed_ns, is_supervised, _is_settled(changed_ns, now), record, state, shown)
        self._replicas[directory] = seen
        return seen


def show(
    record: Record, state: State, *, is_told_to_stop: bool, is_process_known_to_live: bool
) -> ObservedReplica:
    """A replica as the port describes it. Without a shim the state may be stale, so its process is asked."""
    is_alive = state.pid is not None and (
        is_process_known_to_live or _is_process_of(state.pid, state.start_ticks, record.replica_id)
    )
    has_ended_unseen = state.pid is not None and not is_alive
    if is_told_to_stop:
        phase = ReplicaPhase.STOPPING
    elif is_alive:
        phase = ReplicaPhase.RUNNING
    elif state.attempt is None:
        phase = ReplicaPhase.PENDING
    else:
        phase = ReplicaPhase.EXITED
    return ObservedReplica(
        replica_id=record.replica_id,
        run_id=record.run_id,
        spec_id=record.spec_id,
        template=record.template,
        phase=phase,
        created_at=record.created_at,
        host=HOST if state.ports else None,
        ports=state.ports or None,
        attempt=state.attempt or 0,
        started_at=_moment(state.started_at),
        last_exit=Exit() if has_ended_unseen else _exit(state),
        restart_at=_moment(state.restart_at),
        message=state.message,
        traceparent=record.traceparent,
    )


def _exit(state: State) -> Exit | None:
    ended = state.last_exit
    if ended is None:
        return None
    return Exit(status=ended["status"], signal=ended["signal"], at=_moment(ended["at"]))


def _is_process_of(pid: int, start_ticks: int | None, replica_id: str) -> bool:
    ticks = proc.start_ticks(pid)
    return ticks is not None and (ticks == start_ticks or proc.carries(pid, replica_id))


def _is_overdue(replica: _Replica, now: datetime) -> bool:
    never_started = replica.shown.phase is ReplicaPhase.PENDING
    return not never_started or (now - replica.record.created_at).total_seconds() > _LAUNCH_TAKES_S


def _changed_ns(directory: Path) -> int | None:
    try:
        return os.stat(directory).st_mtime_ns  # noqa: PTH116 - a Path's own stat() costs twice as much
    except FileNotFoundError:
        return None


def _is_settled(changed_ns: int, now: datetime) -> bool:
    return now.timestamp() * 1e9 - changed_ns > _CLOCK_TICK_NS


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
