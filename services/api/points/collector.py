"""Following METRICS into the database of points, and going on from its last minute after a restart."""

import asyncio
from collections.abc import Collection
from contextlib import aclosing

import structlog
from sqlalchemy.exc import OperationalError

from libs.common.clock import Clock
from libs.common.metrics.port import CaughtUp, Received, SampleReader
from libs.common.metrics.samples import Kind
from services.api.points.minutes import LOOK_BACK_S, MINUTE_S, Gathering, Minute
from services.api.points.store import PointStore

logger = structlog.get_logger()

LATE_S = 5.0
"""So long after its end a minute is still open: what was stored in it may be on its way."""
LOOK_S = 1.0
WRITE_AGAIN_S = 10.0


class Collector:
    def __init__(
        self, reader: SampleReader, store: PointStore, *, clock: Clock, edges: Collection[str] = ()
    ) -> None:
        """edges: those that count requests; a minute in which one of them was silent is unknown."""
        self._reader = reader
        self._store = store
        self._clock = clock
        self._edges = edges
        self._gathering = Gathering(since=0.0, edges=edges)
        self._finished: asyncio.Queue[Minute] = asyncio.Queue(maxsize=100)
        self._caught_up = asyncio.Event()

    async def run(self) -> None:
        """Never returns. What cannot be written now, as on a full disk, is written when it can be: METRICS
        holds it for an hour."""
        last = await asyncio.to_thread(self._store.last_minute)
        since = 0.0 if last is None else float((last + 1) * MINUTE_S)
        self._gathering = Gathering(since=since, edges=self._edges)
        self._caught_up.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(max(0.0, since - LOOK_BACK_S)))
            group.create_task(self._look())
            group.create_task(self._write())

    async def _read(self, since: float) -> None:
        async with aclosing(self._reader.follow(*Kind, since=since)) as following:  # type: ignore[type-var]  # every adapter gives a generator
            async for item in following:
                if isinstance(item, CaughtUp):
                    self._caught_up.set()
                elif isinstance(item, Received) and (minute := self._gathering.take(item)) is not None:
                    await self._finished.put(minute)

    async def _look(self) -> None:
        """A minute is over although nothing more comes. Not while what METRICS holds is still read: there may
        be more of the minute that is read just now, however long ago it was."""
        await self._caught_up.wait()
        while True:
            # Before the pause: where this process stands still in it, what came meanwhile is taken in first.
            until = self._clock().timestamp() - LATE_S
            await asyncio.sleep(LOOK_S)
            minute = self._gathering.finish(until)
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
