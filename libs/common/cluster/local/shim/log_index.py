"""One order over everything that the replicas of a deployment wrote.

A replica writes straight into its log file, so that it needs nobody alive; so nothing in the file says when.
The index beside the replicas says it: each entry is a stretch of one log, and when it was noticed. Shims
note what is new every second or so and at once when a process has ended, readers whenever they read. An
entry is never changed, and what is new always gets a later one; so entry and offset are a stable place.

A replica may cut its log off (`echo x > /dev/stdout` does). Then a new generation of the log begins at its
first byte, and what earlier entries tell of is gone.
"""

from __future__ import annotations

import os
from binascii import crc32

from libs.common.cluster.local.shim import files
from libs.common.cluster.local.shim.log_segments import Segments, Stretch, first_data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LINE = 65_536
"""Bytes; a longer line is cut."""
KEEP_LOG_BYTES = 32 * 1024 * 1024
SEGMENT_ENTRIES = 8192
KEEP_SEGMENTS = 32
"""Some 12 MiB of each deployment."""

_MARKED_BYTES = 64
_WRITTEN_AGAIN_BYTES = 4096
"""Longer logs are not taken to have been written again byte for byte: the home may have been copied."""


class LogIndex:
    """The index of one deployment, as one process knows it; several processes write it at the same time."""

    def __init__(self, deployment: str, *, entries: int = SEGMENT_ENTRIES, keep: int = KEEP_SEGMENTS) -> None:
        """entries: of a segment, besides those that it begins with. keep: segments that stay."""
        self._deployment = deployment
        self._entries = entries
        self._segments = Segments(deployment, keep=keep)
        self._first = -1
        self._next = 0
        self._carried = 0
        self._known: dict[int, Stretch] = {}

    def note(self, order: int, log: str, now: float, *, has_ended: bool) -> int:
        """Enter the whole lines that are new; of a process that has ended also an unfinished last one.

        Returns the end of what is entered of this log, in bytes. Raises OSError when it cannot be written.
        """
        try:
            descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        try:
            return self._note(order, log, descriptor, now, has_ended=has_ended)
        finally:
            os.close(descriptor)

    def set_aside(self, order: int, log: str, now: float) -> None:
        """Make a copy of the log its previous generation, and cut it off. Raises OSError."""
        self.note(order, log, now, has_ended=False)
        lock = self._segments.lock()
        try:
            self._find_last()
            generation = self.generation(order)
            draft = f"{log}.new"
            with open(log, "rb") as source, open(draft, "wb") as copy:
                while part := source.read(1 << 20):
                    copy.write(part)
                os.rename(draft, set_aside(log, generation))
                os.truncate(log, 0)
            for older in range(generation):
                _unlink(set_aside(log, older))
        finally:
            os.close(lock)

    def stretches(self, first: int = 0) -> Iterator[Stretch]:
        """Every entry that tells of something, from the number `first` on; those that are kept."""
        segments = self._segments.firsts()
        for place, segment in enumerate(segments):
            if segment is segments[-1] or segments[place + 1] > first:
                yield from (s for s in self._segments.read(segment) if s.entry >= first and s.end > s.start)

    def stretches_backwards(self, last: int | None = None) -> Iterator[Stretch]:
        """The same, newest first, from the number `last` on."""
        for segment in reversed(self._segments.firsts()):
            if last is None or segment <= last:
                for stretch in reversed(self._segments.read(segment)):
                    if (last is None or stretch.entry <= last) and stretch.end > stretch.start:
                        yield stretch

    def catch_up(self) -> None:
        """Learn what other processes have entered."""
        firsts = self._segments.firsts()
        if not firsts:
            return
        if firsts[-1] != self._first:
            self._first = self._next = firsts[-1]
            self._carried = 0
            self._known.clear()
        for stretch in self._segments.read(self._first, self._next - self._first):
            if stretch.end or stretch.generation:
                self._known[stretch.order] = stretch
            self._next = stretch.entry + 1
            self._carried += stretch.is_carried

    def generation(self, order: int) -> int:
        """Of what stands in the log now, as far as it was noted."""
        known = self._known.get(order)
        return known.generation if known else 0

    def _note(self, order: int, log: str, descriptor: int, now: float, *, has_ended: bool) -> int:
        if self._first < 0:
            self.catch_up()
        status = os.fstat(descriptor)
        known = self._known.get(order)
        if status.st_size == (known.end if known else 0) and _is_as_noted(known, status):
            return status.st_size
        lock = self._segments.lock()
        try:
            self._find_last()
            known = self._known.get(order) or Stretch(0, order, 0, 0, now)
            start, generation = known.end, known.generation
            if _was_cut_off(known, log, descriptor):
                start, generation = 0, generation + 1
            status = os.fstat(descriptor)
            end = status.st_size if has_ended else _last_line_end(descriptor, start, status.st_size)
            end = max(end, start)
            if (generation, end) != (known.generation, known.end):
                mark = _mark(descriptor, end)
                self._enter(
                    Stretch(
                        self._next,
                        order,
                        start,
                        end,
                        now,
                        generation=generation,
                        mark=mark,
                        modified_ns=status.st_mtime_ns,
                    )
                )
            return end
        finally:
            os.close(lock)

    def _find_last(self) -> None:
        """Under the lock: know every entry."""
        self.catch_up()
        if self._first < 0:
            if not self._segments.take_over_legacy():
                self._segments.begin(0, [])
            self.catch_up()

    def _enter(self, stretch: Stretch) -> None:
        if self._next - self._first >= self._entries + self._carried:
            self._begin_segment()
        stretch.entry = self._next
        self._segments.append(stretch, first=self._first)
        self._next += 1
        self._known[stretch.order] = stretch

    def _begin_segment(self) -> None:
        """With what is known of every log that is still there."""
        present = self._present()
        carried = [
            Stretch(
                0,
                known.order,
                known.end,
                known.end,
                0.0,
                generation=known.generation,
                mark=known.mark,
                modified_ns=known.modified_ns,
            )
            for known in self._known.values()
            if known.order in present
        ]
        self._segments.begin(self._next, carried)
        self.catch_up()

    def _present(self) -> set[int]:
        """The numbers of the replicas whose log there is."""
        present = set()
        with os.scandir(self._deployment) as entries:
            for entry in entries:
                record = files.read_json(f"{entry.path}/{files.RECORD}") if entry.is_dir() else None
                if record is not None:
                    present.add(int(record["order"]))
        return present | {order for order, _ in gone(self._deployment)}


def set_aside(log: str, generation: int) -> str:
    """The path of the copy of a log's earlier generation."""
    return f"{log}.{generation}"


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def gone(deployment: str) -> list[tuple[int, str]]:
    """The number and the id of each replica that ended for good and is still remembered."""
    try:
        names = os.listdir(f"{deployment}/{files.GONE}")
    except FileNotFoundError:
        return []
    parts = [name.partition("-") for name in names]
    return sorted((int(order), replica_id) for order, _, replica_id in parts if order.isdigit())


def surplus(descriptor: int, keep: int = KEEP_LOG_BYTES) -> int:
    """How many bytes at the front of a log are more than `keep`, in whole disk blocks; 0 until it is worth
    the call."""
    size = os.fstat(descriptor).st_size
    if size - first_data(descriptor) <= keep * 5 // 4:
        return 0
    return max(size - keep, 0) // 4096 * 4096


def _is_as_noted(known: Stretch | None, status: os.stat_result) -> bool:
    return known is None or known.modified_ns in (0, status.st_mtime_ns)


def _was_cut_off(known: Stretch, log: str, descriptor: int) -> bool:
    """Whether the log was emptied since, and perhaps written again.

    | the log now                                                   | cut off |
    |---------------------------------------------------------------|---------|
    | is shorter                                                    | yes     |
    | has something else before the end of what was noted           | yes     |
    | is longer, the same up to there                               | no      |
    | is as long, was not changed since                             | no      |
    | is as long, was changed, has more than 4 KiB                  | no      |
    | is as long, was changed, has at most that                     | yes     |
    """
    status = os.fstat(descriptor)
    if status.st_size < known.end:
        return True
    if not known.modified_ns or not known.end:
        return False
    if _mark(descriptor, known.end) != known.mark:
        return True
    if status.st_size > known.end or status.st_mtime_ns == known.modified_ns:
        return False
    if known.end > _WRITTEN_AGAIN_BYTES:
        return False
    _await_writer(log)
    return os.fstat(descriptor).st_size == known.end


def _await_writer(log: str) -> None:
    """A write sets the time of change first and the size last. Writing nothing waits until it is over."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(descriptor, b"")
    finally:
        os.close(descriptor)


def _mark(descriptor: int, end: int) -> int:
    base = max(end - _MARKED_BYTES, 0)
    return crc32(os.pread(descriptor, end - base, base))


def _last_line_end(descriptor: int, start: int, size: int) -> int:
    if size <= start:
        return start
    base = max(start, size - LONGEST_LINE)
    newline = os.pread(descriptor, size - base, base).rfind(b"\n")
    if newline >= 0:
        return base + newline + 1
    return size if size - start >= LONGEST_LINE else start
