"""The autoscaler's parts put together over fakes, for tests that stand on the log and need no process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from libs.common.bus.entries import Entries, MemoryEntries
from libs.common.clock import Clock, Ticks, monotonic, utc_now
from libs.common.log.port import EventLog
from libs.common.metrics.port import MemorySamples, SampleReader
from libs.common.runtime import Progress
from libs.common.state.view import Views
from services.autoscaler.appending import Appender
from services.autoscaler.follower import Follower
from services.autoscaler.keeper import Keeper
from services.autoscaler.knowledge import Knowledge
from services.autoscaler.loop import Loop
from tests.support.scaling_story import knowledge_of


@dataclass
class Autoscaler:
    log: EventLog
    samples: SampleReader = field(default_factory=MemorySamples)
    entries: Entries = field(default_factory=MemoryEntries)
    leads: Callable[[], bool] = lambda: True
    ticks: Ticks = monotonic
    clock: Clock = utc_now
    progress: Progress = field(default_factory=Progress)
    knowledge: Knowledge = field(init=False)
    keeper: Keeper = field(init=False)
    loop: Loop = field(init=False)
    follower: Follower = field(init=False)

    def __post_init__(self) -> None:
        views = Views()
        self.knowledge = knowledge_of(views)
        self.keeper = Keeper(self.entries, ticks=self.ticks)
        self.loop = Loop(
            self.knowledge,
            self.samples,
            Appender(self.log, views, ticks=self.ticks),
            self.keeper,
            self.progress,
            leads=self.leads,
            ticks=self.ticks,
            clock=self.clock,
        )
        self.follower = Follower(
            self.log, self.knowledge, self.loop, self.progress, ticks=self.ticks, clock=self.clock
        )

    @property
    def views(self) -> Views:
        return self.knowledge.views

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Autoscaler"]:
        work = (self.follower.run(), self.loop.measure(), self.loop.decide(), self.keeper.run())
        tasks = [asyncio.ensure_future(one) for one in work]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
