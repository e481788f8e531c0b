"""Keeps the read models up: follows the log from their checkpoint and takes events in by batches."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection
from sqlalchemy import select as select_columns
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.errors import LogReplaced, LogUnavailable, Temporary
from libs.common.events.envelope import Position, Recorded, select
from libs.common.log.port import CaughtUp, EventLog, Importing
from libs.common.log.timeline import Timeline
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from services.api.database import cannot_write, empty, memory_database, read_position, write_checkpoint
from services.api.projection import project_event
from services.api.remaking import put_set_aside, read_set_aside, replace_rows
from services.api.tables import specs
from services.api.times import read_timeline, write_timeline

logger = structlog.get_logger()

MAX_BATCH = 500
"""Events in one transaction: replay is 20 times faster than one by one, and a batch takes 0.1 s."""

WRITE_AGAIN_S = 1.0

EVERYTHING = "events.>"

ASK_FOR_S = 1.0
"""How long a read waits to hear where the log ends before it shows what is known."""

RETRY_INTERVAL_S = 0.25


class NotVisible(Temporary):
    """The change is durable, but the read models did not show it in time."""


class Rebuilding(Temporary):
    """The read models were made of another history than the log's, and are made anew from it."""


class NotProjected(Temporary):
    """An event could not be taken into the read models."""


@dataclass(slots=True)
class Projector:
    """sequence: of the last event that reads show. caught_up: set when it has seen all that was stored, or
    why that takes longer: what is stored is a part of an import, or all read models are made anew.

    rebuilding: why the read models are made anew; empty when they are not.
    unwritable: why the read models cannot be written now, such as a full disk; empty while they can.
    timeline: of the log up to what was taken in.
    """

    log: EventLog
    engine: AsyncEngine
    progress: Progress = field(default_factory=Progress)
    visible_timeout_s: float = 10.0
    sequence: int = 0
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    rebuilding: str = ""
    unwritable: str = ""
    timeline: Timeline = field(default_factory=Timeline)
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _aside: Aside = field(init=False)

    def __post_init__(self) -> None:
        self._aside = Aside("project", self.progress.set_aside)

    async def run(self) -> None:
        """Never returns; raises what the database raises, unless it is that nothing can be written now, and
        LogReplaced: to be started again."""
        identity = await self.log.identity()
        checkpoint = await self._fitting_checkpoint()
        async with self.engine.connect() as connection:
            self.timeline = await read_timeline(connection)
            for subject in await read_set_aside(connection):
                self._aside.failed(subject, NotProjected("it was set aside before the last start"))
        await self._advance(checkpoint)
        waiting: asyncio.Queue[Recorded | CaughtUp] = asyncio.Queue(maxsize=2 * MAX_BATCH)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fetch(checkpoint, waiting))
            group.create_task(self._apply(waiting, identity))
            group.create_task(self._remake_due(identity))

    def admit(self) -> None:
        """Whether a change may be appended now. Raises Rebuilding: what it leads to could not be shown, and
        whoever asks for it may be looking at what is no more."""
        if self.rebuilding:
            raise Rebuilding(self.rebuilding)

    async def wait_for(self, sequence: int) -> None:
        """Until reads show everything up to `sequence`. Raises NotVisible after `visible_timeout_s`."""
        if self.unwritable and self.sequence < sequence:
            raise NotVisible(f"the change is durable, but {self.unwritable}")
        try:
            async with asyncio.timeout(self.visible_timeout_s), self._moved:
                await self._moved.wait_for(lambda: self.sequence >= sequence)
        except TimeoutError as error:
            raise NotVisible(f"reads show {self.sequence}, not yet {sequence}") from error

    async def place_of_spec(self, deployment_id: str, spec_id: str) -> int:
        """The sequence at which a deployment's spec was registered, as far as reads show it; 0 for none.

        Raises NotProjected while the deployment's rows are to be made anew.
        """
        place = select_columns(specs.c.sequence).where(
            specs.c.id == spec_id, specs.c.deployment_id == deployment_id
        )
        async with self.engine.connect() as connection:
            found = (await connection.execute(place)).scalar_one_or_none()
        if found is None and deployment_id in self._aside:
            raise NotProjected("not all of its specs are known; they are made anew from the log")
        return found or 0

    async def catch_up(self) -> None:
        """Until reads show all that was in the log at the call, also what others saw there first.

        With the log away, or an import on its way, what is known is shown. Raises NotVisible.
        """
        try:
            async with asyncio.timeout(ASK_FOR_S):
                log_end = 0 if await self.log.importing() else await self.log.last_sequence()
        except (LogUnavailable, LogReplaced, TimeoutError):
            return
        try:
            await self.wait_for(log_end)
        except NotVisible:
            # An import may have begun in the empty log right after it was asked.
            if await self.log.importing() is None:
                raise

    async def _fitting_checkpoint(self) -> int:
        """Where the read models are in the log; 0, and they are empty, when they are not of this log."""
        async with self.engine.connect() as connection:
            checkpoint = await read_position(connection)
        if await self.log.has(checkpoint):
            return checkpoint.sequence
        log_end = await self.log.last_sequence()
        self.rebuilding = (
            f"the log, which ends at {log_end}, lacks event {checkpoint.sequence} of the read models: "
            "they are made anew from the log"
        )
        self.progress.hold(self.rebuilding)
        logger.warning("read models are not of this log", checkpoint=checkpoint.sequence, log_end=log_end)
        await empty(self.engine)
        # So that health says it, and a change is told why it is refused; reads wait for what the log shows.
        self.caught_up.set()
        return 0

    async def _fetch(self, checkpoint: int, waiting: asyncio.Queue[Recorded | CaughtUp]) -> None:
        async for item in self.log.follow(EVERYTHING, after=checkpoint):
            if isinstance(item, Importing):
                self._hold(item)
            else:
                await waiting.put(item)

    def _hold(self, importing: Importing) -> None:
        self.progress.hold(importing)
        self.caught_up.set()

    async def _apply(self, waiting: asyncio.Queue[Recorded | CaughtUp], identity: str) -> None:
        while True:
            batch = [await waiting.get()]
            while len(batch) < MAX_BATCH and not waiting.empty():
                batch.append(waiting.get_nowait())
            events = [item for item in batch if isinstance(item, Recorded)]
            if events:
                async with self._writing:
                    await self._take_in(events, identity)
                    await self._advance(events[-1].sequence)
            if len(events) < len(batch):
                self._complete()

    def _complete(self) -> None:
        self.rebuilding = ""
        self.progress.hold(None)
        self.caught_up.set()
        logger.info("read models are complete", sequence=self.sequence)

    async def _take_in(self, events: Sequence[Recorded], identity: str) -> None:
        """As often as it takes: what is acknowledged is in the log, and a disk that is full has room again
        one day. Meanwhile the api says so and goes on answering."""
        while True:
            try:
                await self._take_in_or_set_aside(events, identity)
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

    async def _take_in_or_set_aside(self, events: Sequence[Recorded], identity: str) -> None:
        """All of them; what fails is set aside with all that follows of it, and made anew later."""
        if not any(event.aggregate.id in self._aside for event in events):
            try:
                await apply_batch(self.engine, events, log=identity, timeline=self.timeline)
                return
            except OperationalError:
                raise  # the database itself
            except Exception as error:  # noqa: BLE001 - one of the events; which one shows below
                logger.warning("events are taken in one by one", error=str(error), events=len(events))
        for event in events:
            await self._take_one_in(event, identity)

    async def _take_one_in(self, event: Recorded, identity: str) -> None:
        subject = event.aggregate.id
        if subject not in self._aside:
            try:
                await apply_batch(self.engine, [event], log=identity, timeline=self.timeline)
                return
            except OperationalError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                self._aside.failed(subject, error)
        ahead = self.timeline.copy()
        ahead.note(event.sequence, event.time)
        async with self.engine.begin() as connection:
            await connection.run_sync(put_set_aside, [subject])
            await write_timeline(connection, ahead, after=event.sequence - 1)
            await write_checkpoint(connection, Position(event.sequence, identity, event.hash))
        self.timeline.become(ahead)

    async def _remake_due(self, identity: str) -> None:
        """Never returns; raises what the database raises."""
        await self.caught_up.wait()
        while True:
            await asyncio.sleep(RETRY_INTERVAL_S)
            for subject in self._aside.due():
                try:
                    with self._aside.attempt(subject):
                        await self._remake(subject, identity)
                except LogUnavailable:
                    break

    async def _remake(self, subject: str, identity: str) -> None:
        """The rows of a deployment or project from all of its events, up to what reads show of the others."""
        scratch = await memory_database()
        try:
            read = await self._replay(subject, scratch, identity, after=0)
            async with self._writing:
                await self._replay(subject, scratch, identity, after=read)
                await replace_rows(self.engine, subject, scratch)
        finally:
            await scratch.dispose()

    async def _replay(self, subject: str, scratch: AsyncEngine, identity: str, *, after: int) -> int:
        """Up to the present checkpoint, which is returned."""
        until = self.sequence
        batch: list[Recorded] = []
        async for event in self.log.read(select(aggregate_id=subject), after=after, until=until):
            batch.append(event)
            if len(batch) == MAX_BATCH:
                await apply_batch(scratch, batch, log=identity, timeline=self.timeline)
                batch = []
        if batch:
            await apply_batch(scratch, batch, log=identity, timeline=self.timeline)
        return until

    async def _advance(self, sequence: int) -> None:
        async with self._moved:
            self.sequence = max(self.sequence, sequence)
            self.progress.applied(sequence)
            self._moved.notify_all()


async def apply_batch(
    engine: AsyncEngine, events: Sequence[Recorded], *, log: str, timeline: Timeline
) -> None:
    """All of them and the checkpoint, or none. log: the identity of theirs. timeline: of all before them; of
    these too, once they are written."""
    ahead = timeline.copy()

    def apply(connection: Connection) -> None:
        for event in events:
            project_event(connection, ahead.take(event))

    async with engine.begin() as connection:
        await connection.run_sync(apply)
        last = events[-1]
        await write_timeline(connection, ahead, after=events[0].sequence - 1)
        await write_checkpoint(connection, Position(last.sequence, log, last.hash))
    timeline.become(ahead)
