"""Which process is whose, from /proc. A pid alone never says so: it may have been given to another."""

import errno
import os

ID_VARIABLE = "SPECSTREAM_REPLICA_ID"


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when it is not there or has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def carried_id(pid: int) -> str | None:
    """The id of the replica in whose environment the process was started."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    prefix = f"{ID_VARIABLE}=".encode()
    found = next((entry for entry in environment.split(b"\0") if entry.startswith(prefix)), None)
    return None if found is None else found[len(prefix) :].decode(errors="replace")


def carries(pid: int, replica_id: str) -> bool:
    """Whether the process was started with this replica's id in its environment."""
    return carried_id(pid) == replica_id


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def carriers(replica_id: str) -> list[int]:
    """Every living process that was started with this replica's id."""
    return [pid for pid in pids() if carries(pid, replica_id) and start_ticks(pid) is not None]


def children() -> list[int]:
    """The children of this process: with a subreaper, also what its dead descendants left behind."""
    own = os.getpid()
    try:
        with open(f"/proc/{own}/task/{own}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return []


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
