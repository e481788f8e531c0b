"""Makes the rows of what was set aside anew, as its time comes."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Engine

from libs.common.errors import LogUnavailable
from libs.common.events.envelope import select
from libs.common.log.batches import batches
from libs.common.log.port import EventLog
from libs.common.log.timeline import Timeline
from libs.common.set_aside import Aside
from services.api.readmodels.database import memory_database
from services.api.readmodels.reach import Reach
from services.api.readmodels.remaking import replace_rows
from services.api.readmodels.writer import MAX_BATCH, in_thread, take_all_in

RETRY_INTERVAL_S = 0.25


@dataclass(frozen=True, slots=True)
class Remaker:
    """writing: held by whoever writes the read models. reach: how far they are."""

    log: EventLog
    writer: Engine
    writing: asyncio.Lock
    reach: Reach
    timeline: Timeline
    aside: Aside

    async def run(self, identity: str) -> None:
        """Never returns; raises what the database raises."""
        while True:
            await self.aside.until_due()
            with suppress(LogUnavailable):
                for subject in self.aside.due():
                    with self.aside.attempt(subject):
                        await self._remake(subject, identity)
            await asyncio.sleep(RETRY_INTERVAL_S)

    async def _remake(self, subject: str, identity: str) -> None:
        """The rows of a deployment or project from all of its events, up to what reads show of the others."""
        scratch = memory_database()
        try:
            read = await self._replay(subject, scratch, identity, after=0)
            async with self.writing:
                await self._replay(subject, scratch, identity, after=read)
                await in_thread(replace_rows, self.writer, subject, scratch)
        finally:
            scratch.dispose()

    async def _replay(self, subject: str, scratch: Engine, identity: str, *, after: int) -> int:
        """Up to the present checkpoint, which is returned."""
        until = self.reach.sequence
        events = self.log.read(select(aggregate_id=subject), after=after, until=until)
        async for batch in batches(events, MAX_BATCH):
            await in_thread(take_all_in, scratch, batch, log=identity, timeline=self.timeline.copy())
        return until
