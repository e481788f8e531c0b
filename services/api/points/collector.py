"""Following METRICS into the database of points, and going on behind what it has after a restart."""

import asyncio
from collections.abc import Collection
from contextlib import aclosing
from typing import Final

import structlog
from sqlalchemy.exc import OperationalError

from libs.common import telemetry
from libs.common.clock import Clock
from libs.common.metrics.port import CaughtUp, Place, Received, SampleReader
from libs.common.metrics.samples import FIELDS, Kind
from services.api.points.minutes import MINUTE_S, Gathering, Minute
from services.api.points.store import PointStore

logger = structlog.get_logger()

LATE_S = 5.0
"""So long after its end a minute is still open: what was stored in it may be on its way."""
LOOK_S = 1.0
WRITE_AGAIN_S = 10.0
AHEAD_S: Final = 3660.0
"""So far the stream's clock may be ahead of ours: an hour is a fault that is survived with every minute. What
is beyond would be of a time that does not come soon, so it is dropped. No request is lost with it: the next
sample has its total."""


class Collector:
    def __init__(
        self, reader: SampleReader, store: PointStore, *, clock: Clock, edges: Collection[str] = ()
    ) -> None:
        """edges: those that count requests; a minute in which one of them was silent is unknown."""
        self._reader = reader
        self._store = store
        self._clock = clock
        self._edges = edges
        self._gathering = Gathering(edges=edges)
        self._finished: asyncio.Queue[Minute] = asyncio.Queue(maxsize=100)
        self._caught_up = asyncio.Event()
        self._behind_s = 0.0
        """How far the stream's clock is behind ours, by the newest sample that came when it was stored."""
        self._is_ahead = False
        self._dropped = telemetry.counter(
            "specstream.samples.dropped", unit="{sample}", description="Measurements that cannot be right"
        )

    async def run(self) -> None:
        """Never returns. What cannot be written now, as on a full disk, is written when it can be: METRICS
        holds it for an hour."""
        taken = await asyncio.to_thread(self._store.taken)
        last = await asyncio.to_thread(self._store.last_minute)
        self._gathering = Gathering(taken=taken, minute=last, edges=self._edges)
        self._caught_up.clear()
        self._behind_s = 0.0
        # Version 1 of the database knows only the last minute.
        since = 0.0 if last is None or taken is not None else float((last + 1) * MINUTE_S)
        after = None if taken is None else Place(taken.last.stream, taken.behind)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(since, after))
            group.create_task(self._look())
            group.create_task(self._write())

    async def _read(self, since: float, after: Place | None) -> None:
        async with aclosing(self._reader.follow(*Kind, since=since, after=after)) as following:  # type: ignore[type-var]  # every adapter gives a generator
            async for item in following:
                if isinstance(item, CaughtUp):
                    self._caught_up.set()
                elif self._is_possible(item) and (minute := self._gathering.take(item)) is not None:
                    await self._finished.put(minute)

    def _is_possible(self, received: Received) -> bool:
        ahead_s = received.stored_at - self._clock().timestamp()
        if self._caught_up.is_set():
            self._behind_s = max(0.0, -ahead_s)
        is_ahead = ahead_s > AHEAD_S
        if is_ahead:
            batch = received.batch
            self._dropped.add(len(getattr(batch, FIELDS[batch.kind])), {"reason": "future"})
        if is_ahead and not self._is_ahead:
            logger.warning("samples are of the future and are dropped", ahead_s=round(ahead_s))
        elif self._is_ahead and not is_ahead:
            logger.info("samples are of the present again")
        self._is_ahead = is_ahead
        return not is_ahead

    async def _look(self) -> None:
        """A minute is over although nothing more comes. Not while what METRICS holds is still read: there may
        be more of the minute that is read just now, however long ago it was."""
        await self._caught_up.wait()
        while True:
            # Before the pause: where this process stands still in it, what came meanwhile is taken in first.
            before = self._clock()
            await asyncio.sleep(LOOK_S)
            # Unless the clock was set back in it.
            until = min(before, self._clock()).timestamp() - LATE_S
            minute = self._gathering.finish(until - self._behind_s)
            if minute is not None:
                await self._finished.put(minute)

    async def _write(self) -> None:
        has_failed = False
        while True:
            minute = await self._finished.get()
            while True:
                try:
                    await asyncio.to_thread(self._store.put, minute)
                except OperationalError as error:
                    if not has_failed:
                        logger.warning("points cannot be written", error=str(error.orig))
                    has_failed = True
                    await asyncio.sleep(WRITE_AGAIN_S)
                    continue
                break
            if has_failed:
                logger.info("points can be written again")
                has_failed = False
