"""What a shim does for the log of its replica: enters it into the index, and bounds it.

Nothing that goes wrong here ends the shim: what cannot be done now is done at the next look.
"""

from __future__ import annotations

import errno
import os
import time

from libs.common.back_off import BackOff
from libs.common.cluster.local.shim import libc, log_index

CHECKS = BackOff(1.0, 8.0)
"""Between two checks of the log: the first pause while it grows, longer ones while it is quiet."""

NO_HOLES = (
    "this file system cannot give the front of a log back: a log is copied and cut off instead, "
    "and a line that is written in that moment may be lost"
)


class Teller:
    """What a shim has to say goes to `shim.err`, where there is room for it; each line once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, line: str) -> None:
        if line in self._said:
            return
        self._said.add(line)
        try:
            os.write(2, f"{line}\n".encode())
        except OSError:
            return  # that disk is full too


class LogKeeper:
    """The log of the replica number `order` of a deployment. next_check_s: until it is worth another look."""

    def __init__(self, deployment: str, log: str, order: int, teller: Teller) -> None:
        self._log = log
        self._order = order
        self._index = log_index.LogIndex(deployment)
        self._teller = teller
        self._noted = 0
        self.next_check_s = CHECKS.first_s

    def check(self) -> None:
        """Enter, and give the log's front back to the disk where it has become too long."""
        before = self._noted
        self.note(has_ended=False)
        is_quiet = self._noted == before
        self.next_check_s = CHECKS.next_s(self.next_check_s) if is_quiet else CHECKS.first_s
        try:
            self._bound()
        except OSError as error:
            self._teller.say(f"the log cannot be bounded: {error}")

    def note(self, *, has_ended: bool) -> None:
        try:
            self._noted = self._index.note(self._order, self._log, time.time(), has_ended=has_ended)
        except (OSError, ValueError) as error:
            self._teller.say(f"the log cannot be entered into the index: {error}")

    def _bound(self) -> None:
        try:
            log = os.open(self._log, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            length = log_index.surplus(log)
            if length:
                libc.free_front(log, length)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            self._teller.say(NO_HOLES)
            self._index.set_aside(self._order, self._log, time.time())
        finally:
            os.close(log)
