"""Keeps the read models up: follows the log from their checkpoint and takes events in by batches."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.errors import LogUnavailable, Temporary
from libs.common.events.envelope import Recorded, select
from libs.common.log.port import CaughtUp, EventLog
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from services.api.database import memory_database, read_checkpoint, write_checkpoint
from services.api.projection import project_event
from services.api.remaking import put_set_aside, read_set_aside, replace_rows

logger = structlog.get_logger()

MAX_BATCH = 500
"""Events in one transaction: replay is 20 times faster than one by one, and a batch takes 0.1 s."""

EVERYTHING = "events.>"

ASK_FOR_S = 1.0
"""How long a read waits to hear where the log ends before it shows what is known."""

RETRY_INTERVAL_S = 0.25


class NotVisible(Temporary):
    """The change is durable, but the read models did not show it in time."""


class LogShrunk(Temporary):
    """The log ends before what the read models have taken in: something was lost or exchanged."""


class NotProjected(Temporary):
    """An event could not be taken into the read models."""


@dataclass(slots=True)
class Projector:
    """sequence: of the last event that reads show. caught_up: set when it has seen all that was stored.

    is_log_short: whether the log was found to end before the checkpoint; then nothing is taken in.
    """

    log: EventLog
    engine: AsyncEngine
    progress: Progress = field(default_factory=Progress)
    visible_timeout_s: float = 10.0
    sequence: int = 0
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    is_log_short: bool = False
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _aside: Aside = field(init=False)

    def __post_init__(self) -> None:
        self._aside = Aside("project", self.progress.set_aside)

    async def run(self) -> None:
        """Never returns; raises what the database raises, to be started again."""
        async with self.engine.connect() as connection:
            checkpoint = await read_checkpoint(connection)
            for subject in await read_set_aside(connection):
                self._aside.failed(subject, NotProjected("it was set aside before the last start"))
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
            group.create_task(self._remake_due())

    async def wait_for(self, sequence: int) -> None:
        """Until reads show everything up to `sequence`. Raises NotVisible after `visible_timeout_s`."""
        if self.is_log_short:
            raise LogShrunk("the log ends before the api's checkpoint")
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
                async with self._writing:
                    await self._take_in(events)
                    await self._advance(events[-1].sequence)
            if not self.caught_up.is_set() and len(events) < len(batch):
                self.caught_up.set()
                logger.info("read models are complete", sequence=self.sequence)

    async def _take_in(self, events: Sequence[Recorded]) -> None:
        """All of them; what fails is set aside with all that follows of it, and made anew later."""
        if not any(event.aggregate.id in self._aside for event in events):
            try:
                await apply_batch(self.engine, events)
                return
            except OperationalError:
                raise  # the database itself
            except Exception as error:  # noqa: BLE001 - one of the events; which one shows below
                logger.warning("events are taken in one by one", error=str(error), events=len(events))
        for event in events:
            await self._take_one_in(event)

    async def _take_one_in(self, event: Recorded) -> None:
        subject = event.aggregate.id
        if subject not in self._aside:
            try:
                await apply_batch(self.engine, [event])
                return
            except OperationalError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                self._aside.failed(subject, error)
        async with self.engine.begin() as connection:
            await connection.run_sync(put_set_aside, [subject])
            await write_checkpoint(connection, event.sequence)

    async def _remake_due(self) -> None:
        """Never returns; raises what the database raises."""
        await self.caught_up.wait()
        while True:
            await asyncio.sleep(RETRY_INTERVAL_S)
            for subject in self._aside.due():
                try:
                    with self._aside.attempt(subject):
                        await self._remake(subject)
                except LogUnavailable:
                    break

    async def _remake(self, subject: str) -> None:
        """The rows of a deployment or project from all of its events, up to what reads show of the others."""
        scratch = await memory_database()
        try:
            read = await self._replay(subject, scratch, after=0)
            async with self._writing:
                await self._replay(subject, scratch, after=read)
                await replace_rows(self.engine, subject, scratch)
        finally:
            await scratch.dispose()

    async def _replay(self, subject: str, scratch: AsyncEngine, *, after: int) -> int:
        """Up to the present checkpoint, which is returned."""
        until = self.sequence
        batch: list[Recorded] = []
        async for event in self.log.read(select(aggregate_id=subject), after=after, until=until):
            batch.append(event)
            if len(batch) == MAX_BATCH:
                await apply_batch(scratch, batch)
                batch = []
        if batch:
            await apply_batch(scratch, batch)
        return until

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
