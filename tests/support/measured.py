"""What the router has published of requests, added up as a reader adds it up."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from libs.common.metrics.port import MemorySamples, Received
from libs.common.metrics.samples import Batch, Kind, RequestTotals

FIELDS = ("answered", "unanswered", "server_errors", "duration_us")


@dataclass
class Published:
    """All batches so far. falls: what became less under the same start of an Envoy, which must not be."""

    samples: MemorySamples
    requests: list[Batch] = field(default_factory=list)
    in_flight: list[Batch] = field(default_factory=list)
    falls: list[tuple[RequestTotals, RequestTotals]] = field(default_factory=list)
    _newest: dict[tuple[str, str], RequestTotals] = field(default_factory=dict)
    _flying: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        async for given in self.samples.follow(Kind.REQUESTS, Kind.IN_FLIGHT, since=0):
            if isinstance(given, Received):
                self._take(given.batch)

    def _take(self, batch: Batch) -> None:
        if batch.kind is Kind.IN_FLIGHT:
            self.in_flight.append(batch)
            if batch.is_whole:
                self._flying = {}
            self._flying |= {one.deployment_id: one.in_flight for one in batch.in_flight}
            return
        self.requests.append(batch)
        for totals in batch.requests:
            key = (batch.counter_id, totals.deployment_id)
            before = self._newest.get(key, RequestTotals(deployment_id=totals.deployment_id))
            if any(getattr(totals, name) < getattr(before, name) for name in FIELDS):
                self.falls.append((before, totals))
            self._newest[key] = totals

    def of(self, deployment_id: str) -> dict[str, int]:
        """Summed over all starts of Envoy."""
        totals = [one for (_, id_), one in self._newest.items() if id_ == deployment_id]
        return {name: sum(getattr(one, name) for one in totals) for name in FIELDS}

    def flying(self, deployment_id: str) -> float | None:
        return self._flying.get(deployment_id)

    @property
    def starts(self) -> set[str]:
        return {counter_id for counter_id, _ in self._newest}


async def until_cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
