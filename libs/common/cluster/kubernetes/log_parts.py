"""The log of one container, read from either end no further than it is asked for.

The API server offers the last lines by their number, what was written since a second, and the first bytes of
either. So reading back from a line far from the end goes by time: from some seconds before that line up to
it, from more where those were quiet.
"""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final, Protocol

from libs.common.cluster.kubernetes.logs import (
    PIECE_BYTES,
    last_second_before,
    parse_lines,
    second_of,
    since,
    without_first_moment,
)
from libs.common.cluster.port import LogLine

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


class Read(Protocol):
    async def __call__(self, query: Query) -> bytes:
        """What the container wrote, with the times. Raises NotThere."""
        ...


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
            wrote = await self._read(query)
            is_at_end = len(wrote) < size
            lines = parse_lines(self._replica_id, wrote, is_whole=is_at_end and self._has_ended)
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
            wrote = await self._read({"tailLines": str(asked)})
            lines = parse_lines(self._replica_id, wrote, is_whole=self._has_ended)
            is_all = _has_fewer(wrote, asked) or len(wrote) == got
            if not is_all:
                lines = without_first_moment(lines)
            earlier = [line for line in lines if before is None or line.id < before]
            if is_all or len(earlier) >= number:
                return earlier[::-1], is_all
            if before is not None and lines and not earlier:
                return await self._back_from(before, number, _seconds_of(number, lines))
            asked, got = asked * _GROWTH, len(wrote)

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


def _has_fewer(wrote: bytes, asked: int) -> bool:
    """Whether there are fewer lines than were asked for. A long one may count as several, as it was written
    in pieces."""
    lines = wrote.split(b"\n")
    number = len(lines) - (not lines[-1])
    return number < asked and all(len(line) < PIECE_BYTES for line in lines)


def _seconds_of(number: int, lines: list[LogLine]) -> float:
    """In which so many lines are written, at the pace of these."""
    took_s = (lines[-1].written_at - lines[0].written_at).total_seconds()
    return max(1.0, 2 * number * took_s / len(lines))
