"""Measuring what the replicas use, and publishing it: samples, droppable, never facts."""

import asyncio
from collections.abc import Callable

import structlog

from libs.common import telemetry
from libs.common.clock import Clock, Ticks
from libs.common.cluster.port import Cluster
from libs.common.errors import ClusterUnavailable, DeploymentUnavailable, MetricsUnavailable
from libs.common.ids import new_id
from libs.common.metrics.intervals import Intervals
from libs.common.metrics.port import SamplePublisher
from libs.common.metrics.samples import Kind, ReplicaUsage
from services.health.sampling import sift

logger = structlog.get_logger()

SOURCE = "health"


class Sampler:
    """Has all replicas measured every `interval_s`. What cannot be measured or published is lost: whoever
    reads sees that nothing came, and holds."""

    def __init__(
        self,
        cluster: Cluster,
        publisher: SamplePublisher,
        *,
        interval_s: float,
        clock: Clock,
        ticks: Ticks,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """leads: whether this copy is who measures. What it has measured when it is no more is old."""
        self._cluster = cluster
        self._publisher = publisher
        self._interval_s = interval_s
        self._clock = clock
        self._ticks = ticks
        self._leads = leads
        self._intervals: Intervals[ReplicaUsage] = Intervals(Kind.USAGE, source=SOURCE, counter_id=new_id())
        self._problem = ""
        self._dropped = telemetry.counter(
            "specstream.samples.dropped", unit="{sample}", description="Measurements that cannot be right"
        )

    async def run(self) -> None:
        """Never returns."""
        due = self._ticks()
        while True:
            await self.sample()
            due = max(due + self._interval_s, self._ticks())
            await asyncio.sleep(due - self._ticks())

    async def sample(self) -> None:
        """Measure once, and publish it."""
        try:
            measured = await self._cluster.usage()
            now = self._clock().timestamp()
            sifted = sift(measured, now=now)
            for reason, number in sifted.dropped.items():
                self._dropped.add(number, {"reason": reason.value})
            batch = self._intervals.next(
                sifted.samples, ended_at=now, interval_s=self._interval_s, now=self._ticks()
            )
            if self._leads():
                await self._publisher.publish(batch)
        except (ClusterUnavailable, DeploymentUnavailable, MetricsUnavailable) as error:
            self._tell(str(error))
        else:
            self._tell("")

    def _tell(self, problem: str) -> None:
        """Once when it begins, and once when it is over."""
        if problem and not self._problem:
            logger.warning("what replicas use is not known", problem=problem)
        elif self._problem and not problem:
            logger.info("what replicas use is measured")
        self._problem = problem
