"""Batches on their way to METRICS, one after the other; who measures never waits for the broker."""

import asyncio
from collections import deque
from typing import Final

import structlog

from libs.common.errors import MetricsUnavailable
from libs.common.metrics.port import SamplePublisher
from libs.common.metrics.samples import Batch

logger = structlog.get_logger()

MOST: Final = 64
"""Batches that wait; while METRICS is away the oldest go."""


class Outbox:
    """failures: how many batches were lost; who made them says everything again after a loss."""

    def __init__(self, publisher: SamplePublisher) -> None:
        self._publisher = publisher
        self._batches: deque[Batch] = deque()
        self._has_some = asyncio.Event()
        self._is_away = False
        self.failures = 0

    def put(self, batch: Batch) -> None:
        if len(self._batches) >= MOST:
            self._batches.popleft()
            self.failures += 1
        self._batches.append(batch)
        self._has_some.set()

    async def run(self) -> None:
        """Never returns."""
        while True:
            await self._has_some.wait()
            while self._batches:
                await self._publish(self._batches.popleft())
            self._has_some.clear()

    async def _publish(self, batch: Batch) -> None:
        try:
            await self._publisher.publish(batch)
        except MetricsUnavailable as error:
            self.failures += 1
            if not self._is_away:
                logger.warning("measurements are lost", error=str(error))
            self._is_away = True
            return
        if self._is_away:
            logger.info("measurements are taken again")
        self._is_away = False
