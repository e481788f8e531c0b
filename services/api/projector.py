"""Keeps the read models up: follows the log from their checkpoint and takes events in by batches."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.errors import LogUnavailable, Temporary
from libs.common.events.envelope import Recorded
from libs.common.log.port import CaughtUp, EventLog
from libs.common.runtime import Progress
from services.api.database import cannot_write, read_checkpoint, write_checkpoint
from services.api.projection import project_event

logger = structlog.get_logger()

MAX_BATCH = 500
"""Events in one transaction: replay is 20 times faster than one by one, and a batch takes 0.1 s."""

WRITE_AGAIN_S = 1.0

EVERYTHING = "events.>"

ASK_FOR_S = 1.0
"""How long a read waits to hear where the log ends before it shows what is known."""


class NotVisible(Temporary):
    """The change is durable, but the read models did not show it in time."""


class LogShrunk(Temporary):
    """The log ends before what the read models have taken in: something was lost or exchanged."""


@dataclass(slots=True)
class Projector:
    """sequence: of the last event that reads show. caught_up: set when it has seen all that was stored.

    is_log_short: whether the log was found to end before the checkpoint; then nothing is taken in.
    unwritable: why the read models cannot be written now, such as a full disk; empty while they can.
    """

    log: EventLog
    engine: AsyncEngine
    progress: Progress = field(default_factory=Progress)
    visible_timeout_s: float = 10.0
    sequence: int = 0
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    is_log_short: bool = False
    unwritable: str = ""
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        """Never returns; raises what the database raises, unless it is that nothing can be written now."""
        async with self.engine.connect() as connection:
            checkpoint = await read_checkpoint(connection)
        await self._advance(checkpoint)
        log_end = await self.log.last_sequence()
        if log_end < checkpoint:
            logger.error("the log ends before the checkpoint", log_end=log_end, checkpoint=checkpoint)
            self.is_log_short = True
            self.caught_up.set()
            await asyncio.Event().wait()
        waiting: asyncio.Queue[Recorded | CaughtUp] = asyncio.Queue(maxsize=2 * MAX_BATCH)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fetch(checkpoint, waiting))
            group.create_task(self._apply(waiting))

    async def wait_for(self, sequence: int) -> None:
        """Until reads show everything up to `sequence`. Raises NotVisible after `visible_timeout_s`."""
        if self.is_log_short:
            raise LogShrunk("the log ends before the api's checkpoint")
        if self.unwritable and self.sequence < sequence:
            raise NotVisible(f"the change is durable, but {self.unwritable}")
        try:
            async with asyncio.timeout(self.visible_timeout_s), self._moved:
                await self._moved.wait_for(lambda: self.sequence >= sequence)
        except TimeoutError as error:
            raise NotVisible(f"reads show {self.sequence}, not yet {sequence}") from error

    async def catch_up(self) -> None:
        """Until reads show all that was in the log at the call, also what others saw there first.

        With the log away, what is known is shown. Raises NotVisible.
        """
        if self.is_log_short:
            return
        try:
            async with asyncio.timeout(ASK_FOR_S):
                log_end = await self.log.last_sequence()
        except (LogUnavailable, TimeoutError):
            return
        await self.wait_for(log_end)

    async def _fetch(self, checkpoint: int, waiting: asyncio.Queue[Recorded | CaughtUp]) -> None:
        async for item in self.log.follow(EVERYTHING, after=checkpoint):
            await waiting.put(item)

    async def _apply(self, waiting: asyncio.Queue[Recorded | CaughtUp]) -> None:
        while True:
            batch = [await waiting.get()]
            while len(batch) < MAX_BATCH and not waiting.empty():
                batch.append(waiting.get_nowait())
            events = [item for item in batch if isinstance(item, Recorded)]
            if events:
                await self._take_in(events)
                await self._advance(events[-1].sequence)
            if not self.caught_up.is_set() and len(events) < len(batch):
                self.caught_up.set()
                logger.info("read models are complete", sequence=self.sequence)

    async def _take_in(self, events: Sequence[Recorded]) -> None:
        """As often as it takes: what is acknowledged is in the log, and a disk that is full has room again
        one day. Meanwhile the api says so and goes on answering."""
        while True:
            try:
                await apply_batch(self.engine, events)
            except OperationalError as error:
                if not cannot_write(error):
                    raise
                if not self.unwritable:
                    logger.exception("read models cannot be written")
                self.unwritable = f"the read models cannot be written: {error.orig}"
                self.progress.is_ready, self.progress.problem = False, self.unwritable
                await asyncio.sleep(WRITE_AGAIN_S)
                continue
            if self.unwritable:
                logger.info("read models can be written again")
                self.unwritable, self.progress.problem = "", ""
                self.progress.is_ready = self.caught_up.is_set()
            return

    async def _advance(self, sequence: int) -> None:
        async with self._moved:
            self.sequence = max(self.sequence, sequence)
            self.progress.applied(sequence)
            self._moved.notify_all()


async def apply_batch(engine: AsyncEngine, events: Sequence[Recorded]) -> None:
    """All of them and the checkpoint, or none."""

    def apply(connection: Connection) -> None:
        for event in events:
            project_event(connection, event)

    async with engine.begin() as connection:
        await connection.run_sync(apply)
        await write_checkpoint(connection, events[-1].sequence)
