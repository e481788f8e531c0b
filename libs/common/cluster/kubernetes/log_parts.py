"""The log of one container, read from either end no further than it is asked for.

The API server offers the last lines by their number, what was written since a second, and the first bytes of
either. So reading back from a line far from the end goes by time: from some seconds before that line up to
it, from more where those were quiet. The last lines cannot be bounded by bytes, which would count from the
first of them: so only their number is asked for, and of what comes no more is held than has room.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Final, Protocol

from libs.common.cluster.kubernetes.last_lines import LastLines
from libs.common.cluster.kubernetes.logs import (
    PIECE_BYTES,
    Parser,
    last_second_before,
    second_of,
    since,
    without_first_moment,
)
from libs.common.cluster.port import LogLine, last_of

Query = Mapping[str, str]

_USUAL_LINE: Final = 160
"""Bytes, with its time: the first guess of how much so many lines are."""
_LEAST_BYTES: Final = 4 * 1024
_MOST_BYTES: Final = 256 * 1024
"""Of one request, unless one second has more."""
_GROWTH: Final = 4
_SPARE: Final = 2
"""Lines that are asked for besides: the first of the last lines is never sure."""
_EARLIER_S: Final = 3600.0
"""A node's clock may be so far behind the API server's, which says when a pod was made."""
_FIRST_WORDS: Final = 64
"""Lines that are asked for at first where as many are wanted as have room."""
HELD: Final = 2
"""So many times the bytes that are wanted are held of what comes, since it comes with longer times."""


class Read(Protocol):
    async def __call__(self, query: Query, take: Callable[[bytes], object]) -> None:
        """Give what the container wrote, with the times, piece by piece; nothing where it is gone."""
        ...


class _Measured:
    """How much came as the answer to one request."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes."""
        self._lines = 0
        self._longest = 0
        self._last = 0
        """Bytes of the line that is not ended yet."""

    def take(self, piece: bytes) -> None:
        self.size += len(piece)
        *ended, rest = piece.split(b"\n")
        for line in ended:
            self._lines += 1
            self._longest = max(self._longest, self._last + len(line))
            self._last = 0
        self._last += len(rest)

    def has_fewer(self, asked: int) -> bool:
        """Whether there are fewer lines than were asked for. A long one may count as several, as it was
        written in pieces."""
        number = self._lines + (self._last > 0)
        return number < asked and max(self._longest, self._last) < PIECE_BYTES


class Part:
    """has_ended: whether its process has. created_at: before it wrote anything."""

    def __init__(self, read: Read, replica_id: str, *, has_ended: bool, created_at: datetime) -> None:
        self._read = read
        self._replica_id = replica_id
        self._has_ended = has_ended
        self._created_at = created_at

    async def forward(self, begin: datetime | None, number: int) -> AsyncIterator[list[LogLine]]:
        """Everything from a second on, or from its first line, as it is asked for. number: of lines that
        are wanted first."""
        size = _bounded(number * _USUAL_LINE)
        last = ""
        while True:
            query = {"limitBytes": str(size)} | ({} if begin is None else {"sinceTime": since(begin)})
            lines, rest, measured = await self._lines(query)
            is_at_end = measured.size < size
            if is_at_end and self._has_ended:
                lines += rest
            if fresh := [line for line in lines if line.id > last]:
                last = fresh[-1].id
                yield fresh
            if is_at_end:
                return
            if fresh and (begin is None or second_of(last) > begin):
                begin = second_of(last)
                size = min(size * _GROWTH, _MOST_BYTES)
            else:
                size *= _GROWTH

    async def backward(self, number: int, before: str | None) -> tuple[list[LogLine], bool]:
        """The last lines, before that one: at least so many, newest first, or all of them, and whether they
        are all."""
        asked, got = number + _SPARE, -1
        while True:
            lines, rest, measured = await self._lines({"tailLines": str(asked)})
            if self._has_ended:
                lines += rest
            is_all = measured.has_fewer(asked) or measured.size == got
            if not is_all:
                lines = without_first_moment(lines)
            earlier = [line for line in lines if before is None or line.id < before]
            if is_all or len(earlier) >= number:
                return earlier[::-1], is_all
            if before is not None and lines and not earlier:
                return await self._back_from(before, number, _seconds_of(number, lines))
            asked, got = asked * _GROWTH, measured.size

    async def end(self, most_bytes: int) -> list[LogLine]:
        """As many of the last lines as have room, oldest first, and more; or all of them."""
        asked, got = _FIRST_WORDS, -1
        while True:
            last, measured = LastLines(self._replica_id, HELD * most_bytes), _Measured()

            def take(piece: bytes, last: LastLines = last, measured: _Measured = measured) -> None:
                last.take(piece)
                measured.take(piece)

            await self._read({"tailLines": str(asked)}, take)
            lines = last.end(is_whole=self._has_ended)
            if measured.has_fewer(asked) or measured.size == got:
                return lines
            lines = without_first_moment(lines)
            if len(last_of(lines, most_bytes)) < len(lines):
                return lines
            asked, got = asked * _GROWTH, measured.size

    async def _lines(self, query: Query) -> tuple[list[LogLine], list[LogLine], _Measured]:
        """What is asked for: the lines that are ended, one that is not, and how much there was of it."""
        parser, measured = Parser(self._replica_id), _Measured()
        lines: list[LogLine] = []

        def take(piece: bytes) -> None:
            measured.take(piece)
            lines.extend(parser.take(piece))

        await self._read(query, take)
        return lines, parser.end(), measured

    async def _back_from(self, before: str, number: int, span_s: float) -> tuple[list[LogLine], bool]:
        """span_s: in which so many lines may have been written."""
        while True:
            begin: datetime | None = last_second_before(second_of(before), span_s)
            if begin is not None and (self._created_at - begin).total_seconds() > _EARLIER_S:
                begin = None
            kept: deque[LogLine] = deque(maxlen=number)
            found = 0
            async for lines in self.forward(begin, number):
                earlier = [line for line in lines if line.id < before]
                kept.extend(earlier)
                found += len(earlier)
                if len(earlier) < len(lines):
                    break
            if found >= number or begin is None:
                return list(kept)[::-1], begin is None and found <= number
            span_s *= _GROWTH


def _bounded(size: int) -> int:
    return min(max(size, _LEAST_BYTES), _MOST_BYTES)


def _seconds_of(number: int, lines: list[LogLine]) -> float:
    """In which so many lines are written, at the pace of these."""
    took_s = (lines[-1].written_at - lines[0].written_at).total_seconds()
    return max(1.0, 2 * number * took_s / len(lines))
