"""Starting in turn: so many replicas of a deployment at a time as keep the machine's processors busy.

All at once they would keep each other, and everything else on the machine, waiting until the last one is up.
In turn the first ones serve meanwhile. A turn is a lock, which ends with its shim; to wait for one takes no
time of a processor.
"""

from __future__ import annotations

import fcntl
import os

SPARE = 1
"""Turns at the same time besides one for each processor: while one waits for the disk another goes on."""
LONGEST_S = 1.0
"""A turn ends when the process waits for something, and after this time in any case."""
LOOK_S = 0.015
"""Between two looks at a process that starts."""


class Turn:
    """Of the replica number `order` of a deployment, whose directory is `deployment`."""

    def __init__(self, deployment: str, order: int) -> None:
        """Waits until it comes. Where that cannot be had, as on a full disk, it is there at once."""
        number = order % turns()
        self._lock: int | None = None
        try:
            self._lock = os.open(
                f"{deployment}/starting.{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError:
            self.end()

    def end(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def turns() -> int:
    """How many there are at the same time."""
    return len(os.sched_getaffinity(0)) + SPARE
