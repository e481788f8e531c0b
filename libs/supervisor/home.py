"""The home: the directory that holds all state of one platform, and the lock that its supervisor holds."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from libs.common.cluster.local.shim.files import CWD, TEMPORARY
from libs.common.durable import replace_file
from libs.common.services import copy_name
from libs.supervisor.errors import CannotStart

DIRECTORIES = ("nats", "replicas", "logs", "run", "api", "envoy")


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything is. `path` is absolute."""

    path: Path

    @property
    def api_key(self) -> Path:
        return self.path / "api-key"

    @property
    def replicas(self) -> Path:
        return self.path / "replicas"

    @property
    def ports(self) -> Path:
        """What scripts may read: `{api, edge, nats}`."""
        return self.path / "run" / "ports.json"

    @property
    def lock(self) -> Path:
        return self.path / "run" / "supervisor.lock"

    @property
    def nats_config(self) -> Path:
        return self.path / "nats" / "nats.conf"

    @property
    def machine_types(self) -> Path:
        """The operator's list, as the services read it."""
        return self.path / "machine-types.yaml"

    def envoy(self, number: int = 1) -> Path:
        """Where a router and its Envoy meet: the bootstrap, two sockets, and the token that opens them."""
        return self.path / copy_name("envoy", number)

    @property
    def log_directory(self) -> Path:
        """What the streams lie in: EVENTS, the truth, and the reserve beside it."""
        return self.path / "nats" / "jetstream"

    def seed(self, user: str) -> Path:
        """The nkey seed of a NATS user."""
        return self.path / "nats" / f"{user}.nk"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, program: str) -> Path:
        return self.logs / f"{program}.log"

    def pid(self, program: str) -> Path:
        return self.path / "run" / f"{program}.pid"

    def create(self) -> None:
        """Make the directories; the home itself is for its owner alone.

        Raises CannotStart when that is not possible.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in DIRECTORIES:
                (self.path / name).mkdir(exist_ok=True)
            self._close_to_others()
        except OSError as error:
            raise CannotStart(f"SPECSTREAM_HOME: cannot use {self.path}: {error.strerror}") from error

    def _close_to_others(self) -> None:
        """Take away what group and others may do, also where an earlier version let them.

        The working and the temporary directories of replicas are theirs: there the directory alone is closed.
        """
        _close(str(self.path), self.path.lstat().st_mode)
        replicas, temporary = str(self.replicas), str(self.replicas / TEMPORARY)
        waiting = [str(self.path)]
        while waiting:
            directory = waiting.pop()
            is_of_replicas = directory == replicas or directory.startswith(f"{replicas}/")
            for name, path, mode in _entries(directory):
                _close(path, mode)
                is_theirs = directory == temporary or (is_of_replicas and name == CWD)
                if stat.S_ISDIR(mode) and not is_theirs:
                    waiting.append(path)


def _entries(directory: str) -> list[tuple[str, str, int]]:
    """Name, path and mode of each; with thousands of deployments there are tens of thousands."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found.append((entry.name, entry.path, entry.stat(follow_symlinks=False).st_mode))
    except OSError:  # gone, since what lives of this home goes on meanwhile; or closed even to its owner
        return []
    return found


def _close(path: str, mode: int) -> None:
    if stat.S_IMODE(mode) & 0o077 and not stat.S_ISLNK(mode):
        with suppress(FileNotFoundError):
            os.chmod(path, stat.S_IMODE(mode) & ~0o077)  # noqa: PTH101 - as the walk over them


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all, and on the disk when this returns."""
    _replace(path, text)


def write_public(path: Path, text: str) -> None:
    """Write a file that holds no secret, whole or not at all; it is its owner's alone, as all of the home."""
    _replace(path, text)


def _replace(path: Path, text: str) -> None:
    if _has(path, text, mode=0o600):  # a start that changes nothing needs no room on the disk
        return
    replace_file(str(path), text.encode(), draft=str(path.with_name(f".{path.name}.{os.getpid()}")))


def _has(path: Path, text: str, *, mode: int) -> bool:
    try:
        return stat.S_IMODE(path.stat().st_mode) == mode and path.read_text() == text
    except (OSError, UnicodeDecodeError):
        return False


@contextmanager
def locked(home: Home) -> Iterator[bool]:
    """Hold the home's lock; gives False when another process holds it. It ends with its holder."""
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def lock_holder(home: Home) -> int | None:
    """The pid of the living supervisor, or None when it cannot be told at this moment.

    The pid in `run/supervisor.pid` is believed only if that process has the lock file open.
    """
    try:
        pid = int(home.pid("supervisor").read_text())
        opened = list(Path(f"/proc/{pid}/fd").iterdir())
    except (OSError, ValueError):
        return None
    for link in opened:
        try:
            if link.readlink() == home.lock:
                return pid
        except OSError:  # closed in the meantime
            continue
    return None
