"""The directory that holds every replica of a home, and who may change what in it.

root/
├── deployments/<deployment_id>/
│   ├── workload.json        the fence of the newest plan, whether it is being removed
│   ├── <replica_id>/        see shim/files.py
│   ├── gone/                the last replicas that ended for good, for their last words
│   └── log.index            see shim/log_index.py
├── tmp/                     the TMPDIR of each replica; a short path, since that of a socket must be
├── fences/<deployment_id>   the lock on the deployment's workload; outlives it with the fence of its removal
├── fences/<deployment_id>.json  the log that the newest fence is of, and the hash of its event there
├── changes                  see journal.py
└── ports                    the next port to hand out
"""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

from libs.common.back_off import BackOff
from libs.common.clock import monotonic
from libs.common.cluster.fencing import admit
from libs.common.cluster.local.record import Record
from libs.common.cluster.local.shim import files
from libs.common.cluster.local.shim.gone import delete_whole
from libs.common.cluster.local.stored import known_fields
from libs.common.durable import sync_directory
from libs.common.errors import DeploymentUnavailable
from libs.common.events.envelope import Position

WORKLOAD = "workload.json"
LOCKED_WITHIN_S: Final = 10.0
_LOCKED: Final = BackOff(0.001, 0.05)
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_UNFINISHED = ".new-"


@dataclass(frozen=True, slots=True)
class WorkloadRecord:
    project_id: str
    fence: int
    """The fence of the newest plan applied."""
    next_order: int = 0
    """The number of the next replica to be created."""
    is_removed: bool = False


class Home:
    """Paths below `root`, and what is written there besides what shims write. Several processes have one at
    the same time."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root = root.resolve()
        self._deployments = self.root / "deployments"
        self._fences = self.root / "fences"
        for directory in (self._deployments, self._fences):
            directory.mkdir(mode=0o700, exist_ok=True)

    @property
    def journal(self) -> Path:
        return self.root / "changes"

    def is_id(self, deployment_id: str) -> bool:
        """Whether a deployment can have this id."""
        return _ID.fullmatch(deployment_id) is not None

    def deployment_ids(self) -> list[str]:
        """Of every deployment with a directory; what somebody else put beside them is none of ours."""
        with os.scandir(self._deployments) as entries:
            return sorted(entry.name for entry in entries if _ID.fullmatch(entry.name) and entry.is_dir())

    def deployment(self, deployment_id: str) -> Path:
        if not _ID.fullmatch(deployment_id):
            raise ValueError(f"not an id: {deployment_id!r}")
        return self._deployments / deployment_id

    def replicas(self, deployment_id: str) -> list[Path]:
        """The directories of the replicas that exist."""
        directory = self.deployment(deployment_id)
        return [directory / replica_id for replica_id in self.replica_ids(deployment_id)]

    def replica_ids(self, deployment_id: str) -> list[str]:
        """Of the replicas that exist: the names of their directories."""
        return [name for name in _names(self.deployment(deployment_id)) if _ID.fullmatch(name)]

    def gone(self, deployment_id: str) -> list[Path]:
        """The directories of the replicas that ended for good and are still remembered."""
        directory = self.deployment(deployment_id) / files.GONE
        return [directory / name for name in _names(directory)]

    def workload(self, deployment_id: str) -> WorkloadRecord | None:
        """None when there is none. Raises UnreadableRecord."""
        path = f"{self.deployment(deployment_id)}/{WORKLOAD}"
        stored = files.read_json(path)
        return None if stored is None else WorkloadRecord(**known_fields(WorkloadRecord, stored, path))

    @contextmanager
    def locked(self, deployment_id: str) -> Iterator[None]:
        """Nobody else changes the deployment's workload meanwhile. Blocks the thread, but not for ever: a
        process that is paused keeps its lock, and must not keep every thread of another one.

        Raises DeploymentUnavailable.
        """
        with (self._fences / self.deployment(deployment_id).name).open("ab") as file:
            _lock(file)
            yield

    def admit(self, deployment_id: str, fence: Position) -> int:
        """Under the lock: the sequence to record, once it is known what it is of.

        Raises Fenced for a plan that must not follow the newest one, a removal's too.
        """
        newest = self.fence(deployment_id)
        admit(newest, fence)
        if fence != newest:
            self._save_origin(deployment_id, fence)
        return fence.sequence

    def fence(self, deployment_id: str) -> Position:
        """Under the lock: of the newest plan; sequence 0 when there was none.

        The sequence counts. What is kept beside it may be of the plan before or after, when somebody was
        killed in between, or be missing in a home of an earlier version: then only the sequence is known.
        """
        removal = (self._fences / deployment_id).read_bytes()
        workload = self.workload(deployment_id)
        newest = max(int(removal) if removal else 0, workload.fence if workload else 0)
        origin = files.read_json(f"{self._fences}/{deployment_id}.json") or {}
        if origin.get("sequence") != newest:
            return Position(newest)
        return Position(newest, str(origin.get("log", "")), str(origin.get("hash", "")))

    def replace_fence(self, deployment_id: str, fence: Position) -> None:
        """Under the lock: whatever was recorded counts no more."""
        workload = self.workload(deployment_id)
        self._save_origin(deployment_id, fence)
        if workload is not None:
            self.save_workload(deployment_id, replace(workload, fence=fence.sequence))
        if (self._fences / deployment_id).stat().st_size:
            self.remember_removal(deployment_id, fence.sequence)

    def _save_origin(self, deployment_id: str, fence: Position) -> None:
        stored = {"sequence": fence.sequence, "log": fence.log, "hash": fence.hash}
        files.write_json(f"{self._fences}/{deployment_id}.json", stored)

    def remember_removal(self, deployment_id: str, fence: int) -> None:
        """Under the lock: what is left when everything else of the deployment is deleted."""
        with (self._fences / deployment_id).open("r+b") as file:
            file.write(b"%020d" % fence)
            file.flush()
            os.fsync(file.fileno())

    def save_workload(self, deployment_id: str, workload: WorkloadRecord) -> None:
        """Under the lock."""
        directory = self.deployment(deployment_id)
        if not directory.exists():
            directory.mkdir(mode=0o700)
            sync_directory(str(self._deployments))
        stored = {
            "project_id": workload.project_id,
            "fence": workload.fence,
            "next_order": workload.next_order,
            "is_removed": workload.is_removed,
        }
        files.write_json(f"{directory}/{WORKLOAD}", stored, durable=True)

    def create(self, record: Record) -> Path:
        """Under the lock: a replica's directory, with its record on disk; it appears whole or not at all."""
        parent = self.deployment(record.deployment_id)
        directory = parent / record.replica_id
        unfinished = parent / f"{_UNFINISHED}{record.replica_id}"
        for path in (unfinished, unfinished / files.CWD):
            path.mkdir(mode=0o700)
        os.mkfifo(unfinished / files.CONTROL, 0o600)
        files.write_json(f"{unfinished}/{files.RECORD}", record.to_json(), durable=True)
        unfinished.rename(directory)
        sync_directory(str(parent))
        return directory

    def discard_unfinished(self, deployment_id: str) -> None:
        """Under the lock: what a process left that was killed while it created replicas."""
        directory = self.deployment(deployment_id)
        for name in _names(directory):
            if name.startswith(_UNFINISHED):
                shutil.rmtree(directory / name)

    def order_stop(self, directory: Path, grace_s: float) -> None:
        """The replica is to end for good. Stays so, whoever dies; nothing if it is gone."""
        if not (directory / files.STOP).exists() and directory.exists():
            try:
                files.write_json(f"{directory}/{files.STOP}", {"grace_s": grace_s}, durable=True)
            except FileNotFoundError:
                return  # it went meanwhile

    def delete(self, deployment_id: str) -> None:
        """Under the lock: forget a removed deployment when its last replica is gone."""
        workload = self.workload(deployment_id)
        directory = self.deployment(deployment_id)
        if (workload is None or workload.is_removed) and not self.replicas(deployment_id):
            delete_whole(str(directory))

    def mark_removed(self, deployment_id: str, fence: int) -> None:
        """Under the lock; nothing if there is none."""
        workload = self.workload(deployment_id)
        if workload is not None:
            self.save_workload(deployment_id, replace(workload, fence=fence, is_removed=True))


def is_stopping(directory: Path) -> bool:
    return (directory / files.STOP).exists()


def _names(directory: Path) -> list[str]:
    """Of the directories in it, but for that of what is gone."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and entry.name != files.GONE)
    except FileNotFoundError:
        return []


def _lock(file: IO[bytes]) -> None:
    until, pause_s = monotonic() + LOCKED_WITHIN_S, 0.0
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if monotonic() >= until:
                raise DeploymentUnavailable(
                    f"another process changes it, and has not come to an end for {LOCKED_WITHIN_S:g} s"
                ) from error
        else:
            return
        pause_s = _LOCKED.next_s(pause_s)
        time.sleep(pause_s)
