"""Keeps the read models up: follows the log from their checkpoint and takes events in by batches."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Engine
from sqlalchemy import select as select_columns
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.errors import LogReplaced, LogUnavailable
from libs.common.events.envelope import Position, Recorded
from libs.common.log.port import CaughtUp, EventLog, Importing
from libs.common.log.timeline import Timeline
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from services.api.readmodels.coming import Coming
from services.api.readmodels.database import (
    cannot_write,
    empty,
    read_checkpoint,
    read_position,
    writer_beside,
)
from services.api.readmodels.not_shown import FarBehind, NotProjected, NotVisible, Rebuilding
from services.api.readmodels.prepared import Offer
from services.api.readmodels.reach import Reach
from services.api.readmodels.remaker import Remaker
from services.api.readmodels.remaking import put_set_aside, read_set_aside
from services.api.readmodels.rows import Rows
from services.api.readmodels.tables import specs
from services.api.readmodels.times import read_timeline
from services.api.readmodels.writer import MAX_BATCH, in_thread, put_checkpoint, take_in, transaction

logger = structlog.get_logger()

WRITE_AGAIN_S = 1.0

EVERYTHING = "events.>"

ASK_FOR_S = 1.0
"""How long a read waits to hear where the log ends before it shows what is known."""

FAR_BEHIND = 5_000
"""Events that take longer than a second to be taken in."""


@dataclass(slots=True)
class Projector:
    """caught_up: set when it has seen all that was stored, or why that takes longer: what is stored is a part
    of an import, or all read models are made anew.

    rebuilding: why the read models are made anew; empty when they are not.
    target: where the log ended when they began to be, or to catch up from far behind; 0 when they do neither.
    unwritable: why the read models cannot be written now, such as a full disk; empty while they can.
    timeline: of the log up to what was taken in.
    offered: read models of an import that is on its way: they spare taking in its events.
    """

    log: EventLog
    engine: AsyncEngine
    progress: Progress = field(default_factory=Progress)
    visible_timeout_s: float = 10.0
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    rebuilding: str = ""
    target: int = 0
    unwritable: str = ""
    timeline: Timeline = field(default_factory=Timeline)
    offered: Offer = field(default_factory=Offer)
    _reach: Reach = field(default_factory=Reach)
    _coming: Coming = field(default_factory=Coming)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _aside: Aside = field(init=False)
    _writer: Engine = field(init=False)

    def __post_init__(self) -> None:
        self._aside = Aside("project", self.progress.set_aside)
        self._writer = writer_beside(self.engine)

    async def run(self) -> None:
        """Never returns; raises what the database raises, unless it is that nothing can be written now, and
        LogReplaced: to be started again."""
        try:
            await self._run()
        finally:
            self._writer.dispose()

    async def _run(self) -> None:
        identity = await self.log.identity()
        checkpoint = await self._fitting_checkpoint()
        async with self.engine.connect() as connection:
            self.timeline.become(await read_timeline(connection))
            for subject in await read_set_aside(connection):
                self._aside.failed(subject, NotProjected("it was set aside before the last start"))
        self._advance(checkpoint)
        if not await self.log.importing():
            self._aim(await self.log.last_sequence())
        waiting: asyncio.Queue[Recorded | CaughtUp] = asyncio.Queue(maxsize=2 * MAX_BATCH)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fetch(checkpoint, waiting))
            group.create_task(self._apply(waiting, identity))
            group.create_task(self._remake(identity))

    @property
    def sequence(self) -> int:
        """Of the last event that reads show."""
        return self._reach.sequence

    def admit(self) -> None:
        """Whether a change may be appended now. Raises Rebuilding or FarBehind: what it leads to could not be
        shown, and whoever asks for it may be looking at what is no more."""
        if self.rebuilding:
            raise Rebuilding(self.rebuilding)
        self._refuse_far_behind(self.target)

    async def wait_for(self, sequence: int) -> None:
        """Until reads show everything up to `sequence`. Raises NotVisible after `visible_timeout_s`, and
        FarBehind at once where it would take longer anyway."""
        self._refuse_far_behind(sequence)
        if self.unwritable and self.sequence < sequence:
            raise NotVisible(f"the change is durable, but {self.unwritable}")
        await self._reach.wait_for(sequence, timeout_s=self.visible_timeout_s)

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

    async def catch_up(self, subject: str | None = None) -> None:
        """Until reads show all that was in the log at the call, also what others saw there first.

        subject: a deployment or a project whose own events alone are needed; what is going on elsewhere, such
        as hundreds of replicas that start, is not waited for.
        With the log away, or an import on its way, what is known is shown. Raises NotVisible.
        """
        try:
            async with asyncio.timeout(ASK_FOR_S):
                log_end = 0 if await self.log.importing() else await self.log.last_sequence()
        except (LogUnavailable, LogReplaced, TimeoutError):
            return
        try:
            self._refuse_far_behind(log_end)
            if subject is not None:
                log_end = await self._coming.newest(subject, log_end, within_s=self.visible_timeout_s)
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
        await in_thread(empty, self._writer)
        # So that health says it, and a change is told why it is refused; reads wait for what the log shows.
        self.caught_up.set()
        return 0

    async def _fetch(self, checkpoint: int, waiting: asyncio.Queue[Recorded | CaughtUp]) -> None:
        """Never returns. What is there is read, which takes no more memory than is asked for at once, and
        what comes is followed; an import that has come is read again."""
        while True:
            checkpoint = await self._take_over_offered(checkpoint)
            async for event in self.log.read(EVERYTHING, after=checkpoint):
                checkpoint = event.sequence
                self._coming.note(event)
                await waiting.put(event)
            is_importing = False
            following = self.log.follow(EVERYTHING, after=checkpoint)
            async with aclosing(following) as items:  # type: ignore[type-var]  # every adapter gives a generator
                async for item in items:
                    if isinstance(item, Importing):
                        is_importing = True
                        self._hold(item)
                    elif is_importing:
                        break
                    else:
                        self._coming.note(item)
                        await waiting.put(item)

    async def _take_over_offered(self, checkpoint: int) -> int:
        """The checkpoint afterwards."""
        if await self.log.importing():
            return checkpoint
        async with self._writing:
            if not await self.offered.take_over(self._writer, self.log, after=checkpoint):
                return checkpoint
            async with self.engine.connect() as connection:
                checkpoint = await read_checkpoint(connection)
                self.timeline.become(await read_timeline(connection))
        self._advance(checkpoint)
        self._tell()
        return checkpoint

    def _hold(self, importing: Importing) -> None:
        self.progress.hold(importing)
        self.target = importing.events
        self.caught_up.set()

    def _aim(self, log_end: int) -> None:
        """From far behind the api is up meanwhile, and says how far it is."""
        if self.rebuilding or log_end - self.sequence > FAR_BEHIND:
            self.target = log_end
            self._tell()
            self.caught_up.set()

    def _tell(self) -> None:
        if self.target:
            done = f"read models: {self.sequence} of {self.target} events"
            self.progress.hold(f"{self.rebuilding}; {done}" if self.rebuilding else done)

    def _refuse_far_behind(self, sequence: int) -> None:
        if self.target and sequence - self.sequence > FAR_BEHIND:
            raise FarBehind(f"{self.progress.held_by}: what is asked for cannot be shown yet")

    async def _apply(self, waiting: asyncio.Queue[Recorded | CaughtUp], identity: str) -> None:
        while True:
            batch = [await waiting.get()]
            while len(batch) < MAX_BATCH and not waiting.empty():
                batch.append(waiting.get_nowait())
            events = [item for item in batch if isinstance(item, Recorded)]
            if events:
                async with self._writing:
                    await self._take_in(events, identity)
            if len(events) < len(batch):
                self._complete()

    def _complete(self) -> None:
        self.rebuilding, self.target = "", 0
        self.progress.hold(None)
        self.caught_up.set()
        logger.info("read models are complete", sequence=self.sequence)

    async def _take_in(self, events: Sequence[Recorded], identity: str) -> None:
        """As often as it takes: what is acknowledged is in the log, and a disk that is full has room again
        one day. Meanwhile the api says so and goes on answering."""
        taken = 0
        while taken < len(events):
            try:
                taken += await self._take_in_or_set_aside(events[taken:], identity)
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
            self._advance(events[taken - 1].sequence)
            self._coming.drop(events[:taken])
            self._tell()

    async def _take_in_or_set_aside(self, events: Sequence[Recorded], identity: str) -> int:
        """The first ones, how many; what fails is set aside with all that follows of it, and made anew
        later."""
        if not any(event.aggregate.id in self._aside for event in events):
            try:
                ahead = self.timeline.copy()
                taken = await in_thread(take_in, self._writer, events, log=identity, timeline=ahead)
                self.timeline.become(ahead)
                return taken
            except OperationalError:
                raise  # the database itself
            except Exception as error:  # noqa: BLE001 - one of the events; which one shows below
                logger.warning("events are taken in one by one", error=str(error), events=len(events))
        for event in events:
            await self._take_one_in(event, identity)
        return len(events)

    async def _take_one_in(self, event: Recorded, identity: str) -> None:
        subject = event.aggregate.id
        if subject not in self._aside:
            try:
                ahead = self.timeline.copy()
                await in_thread(take_in, self._writer, [event], log=identity, timeline=ahead)
                self.timeline.become(ahead)
                return
            except OperationalError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                self._aside.failed(subject, error)
        ahead = self.timeline.copy()
        await in_thread(self._pass_over, event, identity, ahead)
        self.timeline.become(ahead)

    def _pass_over(self, event: Recorded, identity: str, timeline: Timeline) -> None:
        timeline.note(event.sequence, event.time)
        with transaction(self._writer) as connection:
            rows = Rows(connection)
            put_set_aside(rows, event.aggregate.id)
            put_checkpoint(rows, Position(event.sequence, identity, event.hash), timeline)

    async def _remake(self, identity: str) -> None:
        """Never returns; raises what the database raises."""
        await self.caught_up.wait()
        remaker = Remaker(self.log, self._writer, self._writing, self._reach, self.timeline, self._aside)
        await remaker.run(identity)

    def _advance(self, sequence: int) -> None:
        self._coming.shown(sequence)
        self._reach.advance(sequence)
        self.progress.applied(sequence)
