"""Starting in turn: so many replicas of a deployment at a time as keep the machine's processors busy.

All at once they would keep each other, and everything else on the machine, waiting until the last one is up.
In turn the first ones serve meanwhile. A turn is a lock, which ends with its shim; to wait for one takes no
time of a processor.
"""

from __future__ import annotations

import fcntl
import os

OF_A_PROCESSOR = 2
"""Turns at the same time: one that reads from the disk leaves its processor to another."""
LONGEST_S = 1.0
"""A turn ends when the process waits for something, and after this time in any case."""
LOOK_S = 0.015
"""Between two looks at a process that starts."""


class Turn:
    """Of the replica number `order` of a deployment, whose directory is `deployment`."""

    def __init__(self, deployment: str, order: int) -> None:
        """Waits until it comes. Where that cannot be had, as on a full disk, it is there at once."""
        number = order % (OF_A_PROCESSOR * len(os.sched_getaffinity(0)))
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
