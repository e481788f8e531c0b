"""The autoscaler's parts put together over fakes, for tests that stand on the log and need no process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from libs.common.bus.entries import ManyEntries, MemoryEntries
from libs.common.clock import Clock, Ticks, monotonic, utc_now
from libs.common.events.envelope import select
from libs.common.events.scaling import ReplicasDecided
from libs.common.log.port import EventLog
from libs.common.metrics.port import MemorySamples, SampleReader
from libs.common.metrics.samples import Batch, Kind, ReplicaUsage
from libs.common.runtime import Progress
from libs.common.state.view import Views
from services.autoscaler.appending import Appender
from services.autoscaler.follower import Follower
from services.autoscaler.keeper import Keeper
from services.autoscaler.knowledge import Knowledge
from services.autoscaler.loop import Loop
from tests.support.deployments import Storyteller
from tests.support.scaling_story import CPUS, MEMORY_GIB, by_cpu, knowledge_of

ADDRESS = "127.0.0.1:1"
USAGE_EVERY_S = 15


@dataclass
class Autoscaler:
    log: EventLog
    samples: SampleReader = field(default_factory=MemorySamples)
    entries: ManyEntries = field(default_factory=MemoryEntries)
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


class Source:
    """Health, as far as it measures."""

    def __init__(self, samples) -> None:
        self._samples = samples
        self._number = 0

    async def use(self, deployment_id: str, *replica_ids: str, percent: float) -> None:
        self._number += 1
        usage = tuple(
            ReplicaUsage(
                deployment_id=deployment_id,
                replica_id=replica_id,
                attempt=0,
                ended_at=float(self._number),
                window_s=15,
                cpu_cores=CPUS * percent / 100,
                memory_bytes=1,
                cpus=CPUS,
                memory_gib=MEMORY_GIB,
            )
            for replica_id in replica_ids
        )
        await self._samples.publish(
            Batch(
                kind=Kind.USAGE,
                source="health",
                counter_id="h",
                number=self._number,
                interval_s=USAGE_EVERY_S,
                ended_at=0,
                is_whole=True,
                usage=usage,
            )
        )


async def decisions(log) -> list[ReplicasDecided]:
    found = [event.fact async for event in log.read(select(kind="scaling"))]
    assert all(isinstance(one, ReplicasDecided) for one in found)
    return found


async def deployed(log, **otherwise) -> Storyteller:
    """One replica, which is ready and was so for long."""
    story = Storyteller(log)
    await story.autoscale(by_cpu(50), **otherwise)
    await story.ready("r1", ADDRESS)
    return story
