"""What is made of Envoy's load reports while METRICS is away, and afterwards."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest

from libs.common.clock import monotonic, utc_now
from libs.common.errors import MetricsUnavailable
from libs.common.metrics.samples import LONGEST_S, Batch
from services.router.measuring.memory import CountsFile
from services.router.measuring.outbox import Outbox
from services.router.measuring.receiver import Receiver
from services.router.measuring.requests import RequestCounts
from tests.support.polling import eventually


@dataclass
class Published:
    """What METRICS took, and could not take."""

    is_away: bool = False
    taken: list[Batch] = field(default_factory=list)
    lost: list[Batch] = field(default_factory=list)

    async def publish(self, batch: Batch) -> None:
        if self.is_away:
            self.lost.append(batch)
            raise MetricsUnavailable("away")
        self.taken.append(batch)


class Context:
    """Of a stream on which the router asks what it wants to know."""

    async def write(self, _: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def folder(tmp_path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


async def nothing() -> None:
    return None


def report(*, interval_s: int = 1, **in_flight: int) -> LoadStatsRequest:
    request = LoadStatsRequest()
    for name, active in in_flight.items():
        cluster = request.cluster_stats.add(cluster_name=name)
        cluster.load_report_interval.FromSeconds(interval_s)
        cluster.upstream_locality_stats.add(total_requests_in_progress=active)
    return request


@pytest.fixture
async def reports(folder, published) -> AsyncIterator[asyncio.Queue[LoadStatsRequest]]:
    """What Envoy says is put in."""
    outbox = Outbox(published)
    counts = RequestCounts(
        read_counters=nothing, exists=lambda _: True, file=CountsFile(folder), outbox=outbox, ticks=monotonic
    )
    receiver = Receiver(counts, outbox, needed=tuple, clock=utc_now, ticks=monotonic)
    queue: asyncio.Queue[LoadStatsRequest] = asyncio.Queue()

    async def from_envoy() -> AsyncIterator[LoadStatsRequest]:
        while True:
            yield await queue.get()

    tasks = [
        asyncio.ensure_future(outbox.run()),
        asyncio.ensure_future(receiver.StreamLoadStats(from_envoy(), Context())),
    ]
    yield queue
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def published() -> Published:
    return Published()


async def test_after_a_loss_everything_is_told_again(reports, published):
    """Else what has not changed since would be unknown for up to a minute."""
    for number in (1, 2):
        reports.put_nowait(report(calm=0, busy=3))
        await eventually(lambda number=number: len(published.taken) == number)
    published.is_away = True
    reports.put_nowait(report(calm=0, busy=3))
    await eventually(lambda: published.lost)
    published.is_away = False
    for number in (3, 4):
        reports.put_nowait(report(calm=0, busy=3))
        await eventually(lambda number=number: len(published.taken) == number)
    assert [one.is_whole for one in published.taken] == [True, False, True, False]
    assert [one.number for one in published.taken] == [1, 2, 4, 5]
    assert {one.deployment_id for one in published.taken[2].in_flight} == {"calm", "busy"}


async def test_an_envoy_that_was_paused_for_a_day_reports_the_longest_interval(reports, published):
    reports.put_nowait(report(interval_s=86_400, busy=3))
    await eventually(lambda: published.taken)
    assert [one.interval_s for one in published.taken] == [LONGEST_S]
