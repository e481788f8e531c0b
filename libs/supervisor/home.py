"""The home: the directory that holds all state of one platform, and the lock that its supervisor holds."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
        """What scripts may read: `{api, edge, nats, envoy_admin}`."""
        return self.path / "run" / "ports.json"

    @property
    def internal_ports(self) -> Path:
        """Ports that are nobody's business but ours: `{xds}`."""
        return self.path / "run" / "internal-ports.json"

    @property
    def lock(self) -> Path:
        return self.path / "run" / "supervisor.lock"

    @property
    def nats_config(self) -> Path:
        return self.path / "nats" / "nats.conf"

    @property
    def envoy_bootstrap(self) -> Path:
        return self.path / "envoy" / "bootstrap.json"

    def seed(self, user: str) -> Path:
        """The nkey seed of a NATS user."""
        return self.path / "nats" / f"{user}.nk"

    def log(self, program: str) -> Path:
        return self.path / "logs" / f"{program}.log"

    def pid(self, program: str) -> Path:
        return self.path / "run" / f"{program}.pid"

    def create(self) -> None:
        """Make the directories; the home itself is for its owner alone.

        Raises CannotStart when that is not possible.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in DIRECTORIES:
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
            _keep_private(self.path)
        except OSError as error:
            raise CannotStart(f"SPECSTREAM_HOME: cannot use {self.path}: {error.strerror}") from error


def _keep_private(home: Path) -> None:
    """Take from others what an earlier version, or whoever copied the home, gave them. Raises OSError.

    What replicas keep in their working directories is theirs.
    """
    for directory, names, files in os.walk(home):
        _take_from_others(Path(directory))
        for name in files:
            _take_from_others(Path(directory, name))
        if Path(directory).is_relative_to(home / "replicas"):
            names[:] = [name for name in names if name != "cwd"]


def _take_from_others(path: Path) -> None:
    try:
        status = path.lstat()
        if not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o077:
            path.chmod(stat.S_IMODE(status.st_mode) & ~0o077)
    except FileNotFoundError:
        return  # a process of the home removed it meanwhile


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all, and on the disk when this returns."""
    _replace(path, text, mode=0o600)


def write_public(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    _replace(path, text, mode=0o644)


def _replace(path: Path, text: str, *, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)


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
