"""One order over everything that the replicas of a deployment wrote.

A replica writes straight into its log file, so that it needs nobody alive; so nothing in the file says when.
The index beside the replicas says it: each entry is a stretch of one log, and when it was noticed. Shims
note what is new every second or so and at once when a process has ended, readers whenever they read. An
entry is never changed, and what is new always gets a later one; so entry and offset are a stable place.
"""

import fcntl
import os
import struct
from collections.abc import Iterator

from libs.common.cluster.local.shim import libc

INDEX = "log.index"
LONGEST_LINE = 65_536
"""Bytes; a longer line is cut."""
KEEP_LOG_BYTES = 32 * 1024 * 1024
KEEP_INDEX_BYTES = 8 * 1024 * 1024

_ENTRY = struct.Struct("<QQQd")


class Stretch:
    """Bytes `start` to `end` of the log of the deployment's replica number `order`, noticed at `noticed_at`
    (seconds since the epoch). `entry`: its place in the index."""

    __slots__ = ("end", "entry", "noticed_at", "order", "start")

    def __init__(self, entry: int, order: int, start: int, end: int, noticed_at: float) -> None:
        self.entry = entry
        self.order = order
        self.start = start
        self.end = end
        self.noticed_at = noticed_at


class LogIndex:
    """The index of one deployment, as one process knows it; several processes write it at the same time."""

    def __init__(self, deployment: str, *, keep_bytes: int = KEEP_INDEX_BYTES) -> None:
        self._path = f"{deployment}/{INDEX}"
        self._keep_bytes = keep_bytes
        self._seen = 0
        self._ends: dict[int, int] = {}

    def note(self, order: int, log: str, now: float, *, has_ended: bool) -> int:
        """Enter the whole lines that are new; of a process that has ended also an unfinished last one.

        Returns the end of what is entered of this log, in bytes.
        """
        try:
            size = os.stat(log).st_size
        except FileNotFoundError:
            return 0
        if size == self._ends.get(order, 0):
            return size
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            length = self._catch_up(descriptor)
            start = self._ends.get(order, 0)
            end = size if has_ended else _last_line_end(log, start, size)
            if end <= start:
                return start
            os.pwrite(descriptor, _ENTRY.pack(order, start, end, now), length)
            self._seen = length + _ENTRY.size
            self._ends[order] = end
            self._bound(descriptor)
            return end
        finally:
            os.close(descriptor)

    def stretches(self, first: int = 0) -> Iterator[Stretch]:
        """Every entry from the `first` on; those given back to the disk are left out."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            entry = first
            while block := os.pread(descriptor, 1024 * _ENTRY.size, entry * _ENTRY.size):
                whole = len(block) // _ENTRY.size * _ENTRY.size
                if not whole:
                    return
                for order, start, end, noticed_at in _ENTRY.iter_unpack(block[:whole]):
                    if end:
                        yield Stretch(entry, order, start, end, noticed_at)
                    entry += 1
        finally:
            os.close(descriptor)

    def _bound(self, descriptor: int) -> None:
        """Give the oldest entries back to the disk. An empty stretch says how far each log is entered."""
        length = surplus(descriptor, self._keep_bytes)
        if length:
            for order, end in self._ends.items():
                os.pwrite(descriptor, _ENTRY.pack(order, end, end, 0.0), self._seen)
                self._seen += _ENTRY.size
            libc.free_front(descriptor, length)

    def _catch_up(self, descriptor: int) -> int:
        length = os.fstat(descriptor).st_size // _ENTRY.size * _ENTRY.size
        while self._seen < length:
            block = os.pread(descriptor, min(1024 * _ENTRY.size, length - self._seen), self._seen)
            for order, _, end, _ in _ENTRY.iter_unpack(block):
                if end:
                    self._ends[order] = end
            self._seen += len(block)
        return length


def surplus(descriptor: int, keep: int) -> int:
    """How many bytes at the front of an append-only file are more than `keep`, in whole disk blocks; 0 until
    it is worth the call."""
    status = os.fstat(descriptor)
    if status.st_blocks * 512 <= keep * 5 // 4:
        return 0
    return max(status.st_size - keep, 0) // 4096 * 4096


def _last_line_end(log: str, start: int, size: int) -> int:
    descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    try:
        base = max(start, size - LONGEST_LINE)
        newline = os.pread(descriptor, size - base, base).rfind(b"\n")
    finally:
        os.close(descriptor)
    if newline >= 0:
        return base + newline + 1
    return size if size - start >= LONGEST_LINE else start
