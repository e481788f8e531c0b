"""The entries of a log index on disk: numbered, never changed, in files of bounded size named by their first.

Every segment begins with what is known of each log (an empty stretch at its end), so the newest one is all
that a process reads to go on; the oldest are deleted. An entry that a crash has torn is written over.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from libs.common.durable import replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = "log.index.d"
"""Beside the replicas of a deployment; the dot keeps it from being taken for one of them."""
LEGACY = "log.index"
"""One file with entries of another form, as earlier versions wrote it."""

_LOCK = "lock"
_ENTRY = struct.Struct("<QIIQQdQ")
_LEGACY_ENTRY = struct.Struct("<QQQd")


class Stretch:
    """Bytes `start` to `end` of the log of the deployment's replica number `order`, noticed at `noticed_at`
    (seconds since the epoch). `entry`: its place in the index. `generation`: how often the log had been cut
    off before. `mark`: a check sum of what stands before `end`; `modified_ns`: when the log was changed last;
    both 0 where they are not known."""

    __slots__ = ("end", "entry", "generation", "mark", "modified_ns", "noticed_at", "order", "start")

    def __init__(
        self,
        entry: int,
        order: int,
        start: int,
        end: int,
        noticed_at: float,
        *,
        generation: int = 0,
        mark: int = 0,
        modified_ns: int = 0,
    ) -> None:
        self.entry = entry
        self.order = order
        self.start = start
        self.end = end
        self.noticed_at = noticed_at
        self.generation = generation
        self.mark = mark
        self.modified_ns = modified_ns

    @property
    def is_carried(self) -> bool:
        """Whether it only repeats, at the beginning of a segment, what is known of a log."""
        return not self.noticed_at and self.start == self.end

    def packed(self) -> bytes:
        return _ENTRY.pack(
            self.order,
            self.generation,
            self.mark,
            self.start,
            self.end,
            self.noticed_at,
            self.modified_ns,
        )


class Segments:
    """The segments of one deployment. Several processes have them; who writes holds the lock."""

    def __init__(self, deployment: str, *, keep: int) -> None:
        """keep: segments that stay."""
        self._deployment = deployment
        self._directory = f"{deployment}/{DIRECTORY}"
        self._keep = keep

    def lock(self) -> int:
        """A descriptor that holds the lock until it is closed."""
        if not os.path.isdir(self._directory):
            _make_directory(self._directory)
        descriptor = os.open(f"{self._directory}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor

    def firsts(self) -> list[int]:
        """The number of the first entry of each segment, rising."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        return sorted(int(name) for name in names if name.isdigit())

    def read(self, first: int, after: int = 0) -> list[Stretch]:
        """The entries of a segment, without the `after` oldest; none when it was deleted meanwhile."""
        try:
            descriptor = os.open(self._path(first), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        try:
            length = os.fstat(descriptor).st_size // _ENTRY.size * _ENTRY.size
            content = _read(descriptor, after * _ENTRY.size, length)
        finally:
            os.close(descriptor)
        return list(_unpacked(content, first + after))

    def append(self, stretch: Stretch, *, first: int) -> None:
        """Under the lock: enter it into the segment. Raises OSError, and then it is not there."""
        descriptor = os.open(self._path(first), os.O_WRONLY | os.O_CLOEXEC)
        try:
            packed = stretch.packed()
            if os.pwrite(descriptor, packed, (stretch.entry - first) * _ENTRY.size) < len(packed):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a torn entry is none
        finally:
            os.close(descriptor)

    def begin(self, first: int, known: list[Stretch]) -> None:
        """Under the lock: a segment, there whole or not at all, that begins with these. Raises OSError."""
        self._write(first, b"".join(stretch.packed() for stretch in known))
        for old in self.firsts()[: -self._keep]:
            os.unlink(self._path(old))

    def take_over_legacy(self) -> bool:
        """Under the lock, without segments: make one of what an earlier version wrote; False without that.

        Its file stays, for shims of that version that still run: they go on with it, for themselves.
        """
        try:
            descriptor = os.open(f"{self._deployment}/{LEGACY}", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            length = os.fstat(descriptor).st_size // _LEGACY_ENTRY.size * _LEGACY_ENTRY.size
            begin = first_data(descriptor) // _LEGACY_ENTRY.size * _LEGACY_ENTRY.size
            content = _read(descriptor, begin, length)
        finally:
            os.close(descriptor)
        entries = _LEGACY_ENTRY.iter_unpack(
            content[: len(content) // _LEGACY_ENTRY.size * _LEGACY_ENTRY.size]
        )
        self._write(
            begin // _LEGACY_ENTRY.size,
            b"".join(_ENTRY.pack(order, 0, 0, start, end, at, 0) for order, start, end, at in entries),
        )
        return True

    def _write(self, first: int, content: bytes) -> None:
        replace_file(self._path(first), content, draft=f"{self._directory}/new")

    def _path(self, first: int) -> str:
        return f"{self._directory}/{first:010d}"


def _make_directory(path: str) -> None:
    """Never its parent: the deployment may be gone."""
    try:
        os.mkdir(path, mode=0o700)
    except FileExistsError:
        return  # another process was quicker


def first_data(descriptor: int) -> int:
    """Where a file's content begins, after what was given back to the disk; its end if there is none."""
    try:
        return os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError:
        return os.fstat(descriptor).st_size


def _read(descriptor: int, start: int, end: int) -> bytes:
    parts = []
    while start < end and (part := os.pread(descriptor, end - start, start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _unpacked(content: bytes, entry: int) -> Iterator[Stretch]:
    whole = content[: len(content) // _ENTRY.size * _ENTRY.size]
    for order, generation, mark, start, end, noticed_at, modified_ns in _ENTRY.iter_unpack(whole):
        yield Stretch(
            entry,
            order,
            start,
            end,
            noticed_at,
            generation=generation,
            mark=mark,
            modified_ns=modified_ns,
        )
        entry += 1
