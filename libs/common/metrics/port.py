"""The two ends of the stream METRICS. The ports, and their adapter in memory.

Samples are droppable. They are kept for about an hour, and nobody can change or remove one.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from libs.common.clock import Clock, utc_now
from libs.common.metrics.parts import in_parts, read_part
from libs.common.metrics.samples import Batch, Kind

KEPT_S = 65 * 60.0
"""How long METRICS keeps a sample at most; a full stream drops the oldest before."""


@dataclass(frozen=True, slots=True)
class Received:
    """A batch, or a part of one, as the stream has it.

    stored_at: seconds since 1970, by the stream's clock, which may be set back. sequence: its place in the
    stream, which begins at 1 again in a stream that was made anew. stream: tells one from the other.
    """

    batch: Batch
    stored_at: float
    sequence: int
    stream: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """In one stream: that of a sample, or where there was one."""

    stream: str
    sequence: int


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What was stored when the reading began has been given. It comes once."""


@dataclass(frozen=True, slots=True)
class Holding:
    """keeps_s: how long a sample is kept at most. since: when the oldest was stored; None: there is none."""

    keeps_s: float
    since: float | None


class SamplePublisher(Protocol):
    async def publish(self, batch: Batch) -> None:
        """Done when the stream has all parts of it, each at most `parts.MOST_BYTES` long.

        Raises MetricsUnavailable when the outcome is unknown for one of them; the batch is then lost, in part
        or as a whole, and the next one goes on. Raises ValueError for a batch that is wrong in itself.
        """
        ...


class SampleReader(Protocol):
    def follow(
        self, *kinds: Kind, since: float, after: Place | None = None, only: str | None = None
    ) -> AsyncIterator[Received | CaughtUp]:
        """What is stored of these kinds from the first one on that was stored at `since` (seconds since 1970)
        or later, in the order of the stream, and then what comes.

        after: what is behind this place instead, whatever its time, if that is the stream which there is.
        only: a deployment; every batch comes, without the samples of others.

        Never ends and never raises. While the stream is away, nothing comes; when it is back it goes on
        behind the last batch, or, if that is another stream, with the time at which the last one was stored.
        What is no batch is left out and counted.
        """
        ...

    async def holding(self) -> Holding:
        """How long it holds what. Raises MetricsUnavailable."""
        ...


class MemorySamples:
    """Both ends, for unit tests and trials."""

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._stream = "memory"
        self._messages: list[tuple[int, float, Kind, str, bytes]] = []
        self._last = 0
        self._news = asyncio.Event()

    async def publish(self, batch: Batch) -> None:
        for message in in_parts(batch):
            self._last += 1
            stored_at = self._clock().timestamp()
            self._messages.append((self._last, stored_at, batch.kind, batch.source, message))
        self._forget()
        self._news.set()

    async def follow(
        self, *kinds: Kind, since: float, after: Place | None = None, only: str | None = None
    ) -> AsyncIterator[Received | CaughtUp]:
        given, is_caught_up = self._behind(since, after), False
        while True:
            for sequence, stored_at, kind, source, message in list(self._messages):
                if sequence > given:
                    given = sequence
                    batch = read_part(kind, source, message, only=only)
                    if kind in kinds and batch is not None:
                        yield Received(batch, stored_at, sequence, self._stream)
            if not is_caught_up:
                is_caught_up = True
                yield CaughtUp()
            if given >= self._last:
                self._news.clear()
                await self._news.wait()

    def _behind(self, since: float, after: Place | None) -> int:
        if after is not None and after.stream == self._stream:
            return after.sequence
        later = (sequence for sequence, stored_at, *_ in self._messages if stored_at >= since)
        return next(later, self._last + 1) - 1

    async def holding(self) -> Holding:
        self._forget()
        return Holding(KEPT_S, self._messages[0][1] if self._messages else None)

    def _forget(self) -> None:
        oldest = (self._clock() - timedelta(seconds=KEPT_S)).timestamp()
        while self._messages and self._messages[0][1] < oldest:
            del self._messages[0]
