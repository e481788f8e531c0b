"""What runs on this machine, by /proc. A zombie has ended."""

import os
import signal
from pathlib import Path

from libs.common.cluster.local.shim import proc
from tests.support.polling import eventually


def is_alive(pid: int) -> bool:
    return proc.start_ticks(pid) is not None


def replica_pids(replica_id: str) -> list[int]:
    """Every process that was started as this replica, or by it."""
    return proc.carriers([replica_id])


def own_pid(pid: int) -> int:
    """As the process itself knows it, which may be in a namespace of its own."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("NSpid:")).split()[-1])


async def main_pid(replica_id: str) -> int:
    """The replica's one process that leads its session, as soon as it runs its command.

    One that the replica starts to hide from the platform leads a session too, until it has dropped its
    environment; two that stay are a failure.
    """

    def leaders() -> list[int]:
        return [
            pid
            for pid in replica_pids(replica_id)
            if _leads_its_session(pid) and proc.carries(pid, replica_id)
        ]

    def the_one() -> int | None:
        found = leaders()
        return found[0] if len(found) == 1 else None

    found = await eventually(the_one, because=lambda: f"replica {replica_id} has the processes {leaders()}")
    assert isinstance(found, int)
    return found


def _leads_its_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def shim_pids(below: Path) -> list[int]:
    """Every shim of a replica in this directory."""
    return [pid for pid in proc.pids() if _is_shim(pid, below) and is_alive(pid)]


def pids_below(directory: Path) -> list[int]:
    """Every process that belongs to a replica in this directory: shims, and what works there."""
    return sorted({*shim_pids(directory), *(pid for pid in proc.pids() if _works_in(pid, directory))})


def parent(pid: int) -> int | None:
    """None when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)


def _is_shim(pid: int, below: Path) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(argument.endswith("/shim/main.py") for argument in arguments) and any(
        argument.startswith(f"{below.resolve()}/") for argument in arguments
    )


def _works_in(pid: int, directory: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(directory.resolve())
    except OSError:  # gone, another user's, or too deep to be named
        return False
