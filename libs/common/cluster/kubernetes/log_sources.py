"""The lines of many replicas in one order, each read no further than that takes.

Each is asked for a few lines first. Whatever is not behind the last known line of any of them is sure; those
whose known lines end before there are enough are asked for more.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Final

from libs.common.cluster.kubernetes.log_parts import Part
from libs.common.cluster.kubernetes.logs import second_of
from libs.common.cluster.port import LogLine, UnreadableLog
from libs.common.errors import ClusterUnavailable

_LEAST: Final = 4
"""Lines that are asked of each."""
_AT_ONCE: Final = 32
"""Requests."""


class Unread(ClusterUnavailable):
    """The log of one replica cannot be read, while others can."""


class Source:
    """What one replica wrote, behind a line in an order. parts: the logs of its containers, oldest first."""

    def __init__(
        self, replica_id: str, parts: Sequence[Part], *, after: str | None, newest_first: bool
    ) -> None:
        self.replica_id = replica_id
        self.lines: list[LogLine] = []
        """Those that are known, in the order."""
        self.is_all = False
        self.problem = ""
        """Why it cannot be read."""
        self._parts = parts
        self._after = after
        self._newest_first = newest_first
        self._forward: AsyncIterator[list[LogLine]] | None = None

    async def know(self, number: int) -> None:
        """At least so many lines, or all of them."""
        with self._noting_problems():
            if self._newest_first:
                await self._read_back(number)
            else:
                await self._read_on(number)

    async def _read_back(self, number: int) -> None:
        lines: list[LogLine] = []
        is_all = True
        for part in reversed(self._parts):
            some, is_all = await part.backward(number - len(lines), self._after)
            lines += some
            if len(lines) >= number:
                is_all = is_all and part is self._parts[0]
                break
        self.lines, self.is_all = lines, is_all

    async def _read_on(self, number: int) -> None:
        if self._forward is None:
            self._forward = self._all_forward(number)
        while len(self.lines) < number and not self.is_all:
            some = await anext(self._forward, None)
            if some is None:
                self.is_all = True
            else:
                self.lines += some

    async def _all_forward(self, number: int) -> AsyncIterator[list[LogLine]]:
        begin = None if self._after is None else second_of(self._after)
        for part in self._parts:
            async for lines in part.forward(begin, number):
                yield [line for line in lines if self._after is None or line.id > self._after]

    @contextmanager
    def _noting_problems(self) -> Iterator[None]:
        try:
            yield
        except Unread as error:
            self.problem = str(error)
            self.is_all = True


async def first_lines(sources: Sequence[Source], number: int, *, newest_first: bool) -> list[LogLine]:
    """The first so many lines in the order of all of them."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(source: Source, lines: int) -> None:
        async with slots:
            await source.know(lines)

    behind: Sequence[Source] = sources
    wanted = {source.replica_id: max(_LEAST, ceil(2 * number / len(sources))) for source in sources}
    while behind:
        await asyncio.gather(*(ask(each, min(wanted[each.replica_id], number)) for each in behind))
        known = _ordered(sources, newest_first=newest_first)
        edge = known[number - 1] if len(known) >= number else None
        behind = [each for each in sources if _is_behind(each, edge, newest_first=newest_first)]
        for each in behind:
            wanted[each.replica_id] = 2 * max(len(each.lines), wanted[each.replica_id])
    return known[:number] if sources else []


def unreadable(sources: Sequence[Source]) -> tuple[UnreadableLog, ...]:
    return tuple(UnreadableLog(each.replica_id, each.problem) for each in sources if each.problem)


def _ordered(sources: Sequence[Source], *, newest_first: bool) -> list[LogLine]:
    known = {line.id: line for source in sources for line in source.lines}
    return [known[each] for each in sorted(known, reverse=newest_first)]


def _is_behind(source: Source, edge: LogLine | None, *, newest_first: bool) -> bool:
    """Whether lines of it that are not known yet may come before that one."""
    if source.is_all:
        return False
    if edge is None or not source.lines:
        return True
    last = source.lines[-1].id
    return last > edge.id if newest_first else last < edge.id
