"""Who a copy of a service is, so that its next process goes on at once with the lease that the last one held.

A lease ends 6 s after the death of whoever held it, because nobody else can know that it is dead. The process
that is started in its place does: it holds the lock of its copy, which the kernel lets go with its process.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from libs.common.ids import new_id

logger = structlog.get_logger()

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOST_BYTES = 200


@contextmanager
def holder(run: Path, copy: str) -> Iterator[str]:
    """The name by which a copy holds leases, for as long as the block runs: the one of its last process.

    run: the folder where it is kept. While another process is that copy already, or where nobody can tell, a
    name that nobody has had.
    """
    try:
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(run / f"{copy}.holder", flags, 0o600)
    except OSError as error:
        yield _another_name(copy, error)
        return
    try:
        yield _name(descriptor, copy)
    finally:
        os.close(descriptor)


def _name(descriptor: int, copy: str) -> str:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Of this start of this machine: a home that was copied to another one is another holder there.
        boot = _BOOT_ID.read_text().strip()
        wrote = os.pread(descriptor, _MOST_BYTES, 0)
    except BlockingIOError:
        logger.warning("another process is this copy of the service already", copy=copy)
        return new_id()
    except OSError as error:
        return _another_name(copy, error)
    before, _, name = wrote.decode("ascii", "replace").strip().partition(" ")
    if before == boot and name.isalnum():
        return name
    name = new_id()
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{boot} {name}\n".encode(), 0)
    except OSError as error:
        logger.warning("the next process has to wait for leases of this one", copy=copy, error=str(error))
    return name


def _another_name(copy: str, error: OSError) -> str:
    """Where nobody can tell whether the process before has ended, or which name it had."""
    logger.warning("leases of a process before are waited for", copy=copy, error=str(error))
    return new_id()
