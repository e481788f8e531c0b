"""How soon an autoscaler decides: from the moment at which load is measured until a decision is stored, and
after it was killed. The autoscaler is a process of its own on a real broker; who measures is played."""

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.brokers import broker
from benchmarks.deciding import batches, facts
from benchmarks.envoys import pss_mib
from benchmarks.figure import AtMost, Figure
from libs.common.clock import utc_now
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.jetstream.samples import JetStreamSamplePublisher
from libs.common.log.port import Heads
from tests.support.autoscaler_process import Copy
from tests.support.polling import eventually

MEASURED, QUICK_MEASURED = 1_000, 200
ROUNDS = 5
TENTH = 10
RESTARTED, QUICK_RESTARTED = 10_000, 1_000
BUSY = 100
"""Of those that are there at a restart; the others stay as they are."""
AT_ONCE = 100
"""Deployments in one append: as many aggregates as one batch can guard."""
START_S = 120.0


@dataclass
class Watched:
    """An autoscaler, what is measured for it, and when which decision was heard."""

    client: Client
    copy: Copy
    names: Sequence[str]
    decided_at: dict[str, float] = field(default_factory=dict)
    _number: int = 0

    async def hear(self, message: Msg) -> None:
        self.decided_at[message.subject.split(".")[3]] = perf_counter()

    async def measure(self, busy: Collection[str] = ()) -> None:
        """Both kinds of measurements of all of them, as they come every 15 s."""
        self._number += 1
        publisher = JetStreamSamplePublisher(self.client)
        for batch in batches(self.names, self._number, utc_now(), busy=frozenset(busy)):
            await publisher.publish(batch)

    async def all_decided(self, names: Collection[str]) -> None:
        await eventually(lambda: self.decided_at.keys() >= set(names), within_s=START_S)

    async def leads(self) -> None:
        await eventually(self.copy.leads, within_s=START_S)
        await eventually(lambda: self.copy.said("caught up"), within_s=START_S)


async def fill(client: Client, names: Sequence[str]) -> None:
    """Deployments with two ready replicas that scale by three metrics."""
    log, cause = JetStreamLog(client, source="specstream/filled"), Cause("test", new_id())
    for start in range(0, len(names), AT_ONCE):
        heads: Heads = {}
        for fact in facts():
            drafts = [
                Draft(Aggregate("default", fact.aggregate, name), fact)
                for name in names[start : start + AT_ONCE]
            ]
            heads = {**heads, **(await log.append(drafts, heads=heads, cause=cause)).heads}


@asynccontextmanager
async def watched(number: int) -> AsyncIterator[Watched]:
    """It leads, and has decided about all of them that nothing is to be done."""
    names = [new_id() for _ in range(number)]
    async with broker() as client:
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "run").mkdir()
            await fill(client, names)
            assert client.connected_url is not None
            copy = Copy(Path(directory), client.connected_url.geturl(), "autoscaler", 1)
            found = Watched(client, copy, names)
            await client.subscribe("events.*.scaling.*.ReplicasDecided", cb=found.hear)
            copy.start()
            try:
                await found.leads()
                await found.measure()
                yield found
            finally:
                await asyncio.to_thread(copy.stop)


async def until_decided(number: int) -> tuple[list[float], list[float]]:
    """Seconds from before the measurements are published until a decision is heard: of a tenth of the
    deployments at a time, and of all the others at once."""
    async with watched(number) as running:
        left = list(running.names)
        tenths: list[float] = []
        for _ in range(ROUNDS):
            some, left = left[: number // TENTH], left[number // TENTH :]
            tenths += await _decided(running, some)
        return tenths, await _decided(running, left)


async def _decided(running: Watched, names: Sequence[str]) -> list[float]:
    start = perf_counter()
    await running.measure(busy=names)
    await running.all_decided(names)
    return [running.decided_at[name] - start for name in names]


async def restarted(number: int) -> tuple[float, float]:
    """Seconds from the start of a new process until it has decided about those whose load rose while there
    was none, and its memory in MiB."""
    async with watched(number) as running:
        busy = running.names[:: max(1, number // BUSY)]
        await running.measure()
        running.copy.send(signal.SIGKILL)
        await eventually(running.copy.has_ended)
        await running.measure(busy=busy)
        start = perf_counter()
        running.copy.start()
        await running.all_decided(busy)
        took = max(running.decided_at[name] for name in busy) - start
        assert running.copy.process is not None
        return took, pss_mib(running.copy.process.pid)


def p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


async def measure(*, quick: bool = False) -> list[Figure]:
    measured = QUICK_MEASURED if quick else MEASURED
    known = QUICK_RESTARTED if quick else RESTARTED
    tenths, rest = await until_decided(measured)
    took, memory = await restarted(known)
    about = f"measured until decided, {measured:,} deployments"
    again = f"autoscaler killed, {known:,} deployments"
    return [
        Figure(f"{about}, a tenth at a time, p50", median(tenths), "s"),
        Figure(f"{about}, a tenth at a time, p99", p99(tenths), "s", aim=AtMost(2)),
        Figure(f"{about}, {len(rest):,} at once, p99", p99(rest), "s", aim=AtMost(2)),
        Figure(f"{again}: started until it has decided", took, "s", aim=AtMost(10)),
        Figure(f"{again}: its memory", memory, "MiB PSS", aim=AtMost(250)),
    ]
