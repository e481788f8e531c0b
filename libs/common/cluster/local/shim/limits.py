"""What the processes of a replica may use together: by a cgroup of their own, where we may make one.

That needs cgroup v2 alone, and one above us that is ours to divide: a user's session manager has such, and
root. The standard library only, since a shim has it loaded.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOUNT = "/sys/fs/cgroup"
CONTROLLERS = ("cpu", "memory")
THREADS = "pids"
"""The controller that counts them; where we are given it too, a replica cannot exhaust the machine's."""
MOST_THREADS = 4096
"""Of all processes of a replica together."""
FOLDER = "specstream"
"""Below the cgroup that we divide: it has one for each replica, and no process itself."""
PERIOD_US = 100_000
GIB = 1024**3


class NoLimits(Exception):
    """Why nothing can be limited here."""


def place(mount: str = MOUNT, own: "str | None" = None, controllers: Sequence[str] = CONTROLLERS) -> str:
    """The folder for the cgroups of replicas, tried out. own: the cgroup that we are in. Raises NoLimits."""
    if not os.path.exists(f"{mount}/cgroup.controllers"):
        raise NoLimits("this machine has no cgroup v2, or not alone")
    cgroup = _own() if own is None else own
    while True:
        above = f"{mount}{cgroup}".rstrip("/")
        if _may_be_divided(above, controllers):
            try:
                _try_out(f"{above}/{FOLDER}", controllers)
            except OSError as error:
                raise NoLimits(f"the cgroup {above} cannot be divided: {error.strerror}") from error
            return f"{above}/{FOLDER}"
        if cgroup in ("", "/"):
            raise NoLimits(f"no cgroup above ours is given to us to divide with {' and '.join(controllers)}")
        cgroup = os.path.dirname(cgroup)


def _own() -> str:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        lines = file.read().splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), "/")


def _may_be_divided(path: str, controllers: Sequence[str]) -> bool:
    """Processes may be moved to another cgroup by whoever may write to one that is above both."""
    may_write = all(os.access(f"{path}{name}", os.W_OK) for name in ("", "/cgroup.procs"))
    return may_write and set(controllers) <= set(_read(f"{path}/cgroup.subtree_control").split())


def _try_out(folder: str, controllers: Sequence[str]) -> None:
    """Raises OSError where a process of ours cannot be put into a cgroup of it."""
    probe = Cgroup(folder, f"probe-{os.getpid()}", controllers=controllers)
    probe.make()
    try:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                entrance = probe.open()
                os.write(entrance, b"0")
                status = 0
            finally:
                os._exit(status)
        if os.waitpid(child, 0)[1]:
            raise PermissionError(1, "no process can be moved there")
    finally:
        probe.remove()


@cache
def tried() -> tuple[str, str]:
    """The folder for cgroups of replicas, or why there is none. Processes are moved to find that out, so
    another process does it; once."""
    import subprocess  # noqa: PLC0415 - a shim never asks

    program = os.path.join(os.path.dirname(__file__), "try_limits.py")
    asked = [sys.executable, "-S", "-E", "-s", "-I", program]
    found = subprocess.run(asked, check=False, capture_output=True, text=True)
    return (found.stdout.strip(), "") if found.returncode == 0 else ("", found.stderr.strip()[-500:])


def notices() -> tuple[str, ...]:
    """What an operator has to know about the limits of replicas here."""
    _, problem = tried()
    if not problem:
        return ()
    return (f"replicas may use more CPU and memory than their machine type has: {problem}",)


class Cgroup:
    """cpus: cores; None for as many as there are. memory_bytes: with what it has in swap; None likewise."""

    def __init__(
        self,
        folder: str,
        name: str,
        *,
        cpus: "float | None" = None,
        memory_bytes: "int | None" = None,
        controllers: Sequence[str] = CONTROLLERS,
    ) -> None:
        self.path = f"{folder}/{name}"
        self._folder = folder
        self._controllers = controllers
        self._limits: dict[str, str] = {}
        if cpus is not None:
            self._limits["cpu.max"] = f"{max(1_000, int(cpus * PERIOD_US))} {PERIOD_US}"
        if memory_bytes is not None:
            # What runs out of it ends as a whole, as a container does.
            self._limits |= {"memory.max": str(memory_bytes), "memory.oom.group": "1"}

    def make(self) -> None:
        """Raises OSError."""
        os.makedirs(self._folder, exist_ok=True)
        if self._controllers:
            given = _read(f"{self._folder}/cgroup.controllers").split()
            used = [*self._controllers, *([THREADS] if THREADS in given else [])]
            _write(f"{self._folder}/cgroup.subtree_control", " ".join(f"+{c}" for c in used))
        os.makedirs(self.path, exist_ok=True)
        if os.path.exists(f"{self.path}/pids.max"):
            _write(f"{self.path}/pids.max", str(MOST_THREADS))
        for name, limit in self._limits.items():
            _write(f"{self.path}/{name}", limit)
        if "memory.max" in self._limits and os.path.exists(f"{self.path}/memory.swap.max"):
            _write(f"{self.path}/memory.swap.max", "0")

    def open(self) -> int:
        """A descriptor; who writes 0 to it moves there. Raises OSError."""
        return os.open(f"{self.path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def has(self, pid: int) -> bool:
        return str(pid) in _read(f"{self.path}/cgroup.procs").split()

    def remove(self) -> None:
        """Nothing where a process is left in it, or it never was."""
        with suppress(OSError):
            os.rmdir(self.path)


def cgroup_of(record: "dict[str, Any]") -> "Cgroup | None":
    """None where nothing of the replica is limited."""
    if not record.get("cgroups"):
        return None
    gib = record.get("memory_gib")
    return Cgroup(
        record["cgroups"],
        record["replica_id"],
        cpus=record.get("cpus"),
        memory_bytes=None if gib is None else int(gib * GIB),
    )


def shared_memory_of(record: "dict[str, Any]") -> "int | None":
    """Bytes that the replica's `/dev/shm` has room for: also where nothing else of it is limited. None where
    its machine type was not known."""
    gib = record.get("shm_gib") or record.get("memory_gib")
    return None if gib is None else int(gib * GIB)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    """In one call, as the kernel takes it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
