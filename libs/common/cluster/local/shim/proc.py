"""Which process is whose, from /proc. A pid alone never says so: it may have been given to another.

A replica's process is known by the id in its environment, and by its mounts, among which is the replica's
working directory: the first can be taken off, the second cannot.
"""

import errno
import os
from collections.abc import Collection

from libs.common.cluster.local.shim.files import CWD

ID_VARIABLE = "SPECSTREAM_REPLICA_ID"
MOST_ENVIRONMENT_BYTES = 1024 * 1024
"""Twice what a spec may ask for; what the platform sets comes first."""


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when it is not there or has ended."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in (b"Z", b"X") else int(fields[19])


def used_while_waiting(pid: int) -> int | None:
    """Clock ticks that it has used of a processor, if it waits for something but a disk; else None."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in (b"R", b"D") else int(fields[11]) + int(fields[12])


def _stat(pid: int) -> list[bytes] | None:
    """What the kernel says of it, from its state on; None when it is not there."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def environment(pid: int) -> bytes | None:
    """Each variable ends with a NUL; None when the process is gone, or nobody's business.

    A process may call any addresses its environment: a stretch of any length, which is not read to its end,
    or one where no memory is.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            return file.read(MOST_ENVIRONMENT_BYTES)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    except OSError as error:
        if error.errno == errno.EIO:
            return None
        raise


def variable(environment: bytes, name: str) -> bytes | None:
    """The first of this name."""
    marked = b"\0" + environment
    at = marked.find(b"\0%s=" % name.encode())
    return None if at < 0 else marked[at + 1 :].partition(b"\0")[0].partition(b"=")[2]


def carried_id(pid: int) -> str | None:
    """The id of the replica in whose environment the process was started."""
    found = variable(environment(pid) or b"", ID_VARIABLE)
    return None if found is None else found.decode(errors="replace")


def carries(pid: int, replica_id: str) -> bool:
    """Whether the process was started with this replica's id in its environment."""
    return carried_id(pid) == replica_id


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def mount_points(pid: int) -> list[str]:
    """Where something is mounted for the process that is not for this one, and so is its own. A disk of the
    machine, such as one for all replicas of a home, is mounted for the replicas of other homes too."""
    try:
        if os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
            return []
        points, shared = _mounted(str(pid)), _mounted("self")
    except OSError:
        return []  # it has ended, or is another user's
    return [point for point in points if point not in shared]


def _mounted(process: str) -> list[str]:
    """Raises OSError."""
    with open(f"/proc/{process}/mountinfo", "rb") as file:
        lines = file.read().splitlines()
    return [os.fsdecode(line.split(b" ")[4].decode("unicode_escape").encode("latin-1")) for line in lines]


def belongs(pid: int, replica_ids: Collection[str]) -> bool:
    """Whether the process is one of these replicas', as it was started or by its mounts."""
    if carried_id(pid) in replica_ids:
        return True
    folders = (os.path.split(path) for path in mount_points(pid))
    return any(name == CWD and _replica_of(folder) in replica_ids for folder, name in folders)


def _replica_of(directory: str) -> str:
    """Of one that is remembered its number stands before its id."""
    return os.path.basename(directory).rpartition("-")[2]


def carriers(replica_ids: Collection[str]) -> list[int]:
    """Every living process of these replicas."""
    return [pid for pid in pids() if belongs(pid, replica_ids) and start_ticks(pid) is not None]


def children() -> list[int] | None:
    """The children of this process: with a subreaper, also what its dead descendants left behind. None where
    the kernel does not say it (without CONFIG_PROC_CHILDREN)."""
    own = os.getpid()
    try:
        with open(f"/proc/{own}/task/{own}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:
        return None


def holders(path: str) -> list[int]:
    """Every other process that has this file open."""
    return [pid for pid in pids() if pid != os.getpid() and _has_open(pid, path)]


def _has_open(pid: int, path: str) -> bool:
    try:
        with os.scandir(f"/proc/{pid}/fd") as descriptors:
            return any(_is_link_to(descriptor.path, path) for descriptor in descriptors)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def _is_link_to(link: str, path: str) -> bool:
    try:
        return os.readlink(link) == path
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # a directory too deep to be named, which anybody may have open
            return False
        raise
