"""A whole log brought in, verified, written out and made into read models again.

By the command line, as an operator does it, with the api in a process of its own: the rate, the memory and
the CPU that it takes, and how long another reader of the api waits meanwhile.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter

import httpx
from nats.aio.client import Client
from nats.js import api

from benchmarks.envoys import pss_mib
from benchmarks.figure import Aim, AtLeast, AtLeastOfLimit, AtMost, Figure
from benchmarks.histories import write_history
from libs.common.events.envelope import append_subject
from libs.common.ids import new_id
from libs.common.log.export import stored_events
from libs.common.log.port import Stored
from libs.common.log.provision import provision
from tests.support.api_process import ROOT, ApiProcess, api_process, start_api
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import connected
from tests.support.polling import eventually
from tests.support.rest import KEY

EVENTS = 50_000
QUICK_EVENTS = 10_000
BATCH = 200
FETCH = 500

READS = AtMost(100)

READ_EVERY_S = 0.02
REST_S = 5.0
WEIGH_EVERY_S = 0.25

STARTS_WITHIN_S = 3600.0


@dataclass
class Watch:
    """What a reader of the api and its memory say while something is done. reads: seconds each."""

    api: ApiProcess
    reads: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    refused: int = 0
    peak_mib: float = 0.0

    def ms(self, share: float) -> float:
        """So many of the reads took at most this long."""
        return sorted(self.reads)[int(len(self.reads) * share)] * 1e3

    async def read(self) -> None:
        async with self.api.client() as client:
            while True:
                start = perf_counter()
                with suppress(httpx.TransportError):
                    answer = await client.get("/v1/deployments", params={"limit": 10})
                    self.refused += answer.status_code != httpx.codes.OK
                self.reads.append(perf_counter() - start)
                await asyncio.sleep(READ_EVERY_S)

    async def weigh(self) -> None:
        while True:
            with suppress(FileNotFoundError, ProcessLookupError, StopIteration):
                self.peak_mib = max(self.peak_mib, sum(map(pss_mib, family(self.api.process.pid))))
            await asyncio.sleep(WEIGH_EVERY_S)


def family(pid: int) -> Iterator[int]:
    """A process and what it has started."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


@dataclass
class Done:
    took_s: float
    watch: Watch


@dataclass
class Aimed:
    """What a rate is compared with."""

    limit: float
    limit_name: str
    aim: Aim


async def watched(running: ApiProcess, work: Callable[[], Awaitable[None]]) -> Done:
    watch = Watch(running)
    before_s = running.cpu_s()
    watching = [asyncio.create_task(watch.read()), asyncio.create_task(watch.weigh())]
    start = perf_counter()
    try:
        await work()
        took_s = perf_counter() - start
        watch.cpu_s = running.cpu_s() - before_s
        return Done(took_s, watch)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


@dataclass
class Stages:
    """When an import began to store what it had checked, and when all was stored."""

    began: float = 0.0
    ended: float = 0.0

    async def watch(self, running: ApiProcess) -> None:
        async with running.client() as client:
            while not self.ended:
                found = (await client.get("/v1/log/import")).json()
                if found["state"] != "none":
                    self.began = self.began or perf_counter()
                    if found["stored"] == found["events"]:
                        self.ended = perf_counter()
                await asyncio.sleep(READ_EVERY_S)


async def command(running: ApiProcess, *arguments: str) -> None:
    """`specstream log …` to its end, which has to be a good one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "libs.cli",
        "log",
        *arguments,
        cwd=ROOT,
        env={
            **os.environ,
            "SPECSTREAM_HOME": str(running.home),
            "SPECSTREAM_URL": f"http://127.0.0.1:{running.port}",
            "SPECSTREAM_API_KEY": KEY,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"log {arguments[0]}: status {process.returncode}: {out!r} {err[-2000:]!r}")


async def bare_append(client: Client, file: Path) -> float:
    """How long the same batches take as messages of which nobody has looked at anything."""
    took_s = 0.0
    events = stored_events(file)
    while batch := list(islice(events, BATCH)):
        start = perf_counter()
        await _publish(client, batch)
        took_s += perf_counter() - start
    return took_s


async def _publish(client: Client, batch: list[Stored]) -> None:
    batch_id, last = new_id(), len(batch)
    for place, event in enumerate(batch, 1):
        headers = {**event.headers, "Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(place)}
        if place < last:
            await client.publish(append_subject(event.subject), event.data, headers=headers)
    headers["Nats-Batch-Commit"] = "1"
    await client.jetstream().publish(append_subject(event.subject), event.data, headers=headers, timeout=30)


async def bare_fetch(client: Client, events: int) -> float:
    """How long it takes."""
    start = perf_counter()
    config = api.ConsumerConfig(ack_policy=api.AckPolicy.NONE, mem_storage=True)
    consumer = await client.jetstream().pull_subscribe("events.>", stream="EVENTS", config=config)
    messages = 0
    while messages < events:
        messages += len(await consumer.fetch(FETCH, timeout=5))
    await consumer.unsubscribe()
    return perf_counter() - start


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[tuple[str, Client]]:
    server = NatsProcess(folder)
    server.start()
    try:
        async with connected(server.url) as client:
            await provision(client)
            yield server.url, client
    finally:
        server.stop()


async def measure_of(wanted: int) -> list[Figure]:
    """wanted: about so many events."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        file, home = folder / "log.ndjson", folder / "home"
        events = (await write_history(file, events=wanted)).events
        async with broker(folder / "bare") as (_, client):
            bare_append_s = await bare_append(client, file)
        async with broker(folder / "nats") as (url, client):
            async with api_process(home, url) as running:
                at_rest = await watched(running, lambda: asyncio.sleep(REST_S))
                stages = Stages()
                watching = asyncio.create_task(stages.watch(running))
                imported = await watched(running, lambda: command(running, "import", str(file)))
                await watching
                verified = await watched(running, lambda: command(running, "verify"))
                again = folder / "again.ndjson"
                exported = await watched(running, lambda: command(running, "export", str(again)))
                if again.read_bytes() != file.read_bytes():
                    raise RuntimeError("what was exported is not what was imported")
            for path in (home / "api").glob("read.db*"):
                path.unlink()
            rebuilt = await _rebuild(home, url)
            bare_fetch_s = await bare_fetch(client, events)
    bare = {"read": events / bare_fetch_s, "write": events / bare_append_s}
    written = Aimed(bare["write"], "bare batches", AtLeastOfLimit(0.7))
    read = Aimed(bare["read"], "bare fetch", AtLeast(3000))
    storing = events / (stages.ended - stages.began)
    return [
        Figure("reads of the api at rest, p99", at_rest.watch.ms(0.99), "ms"),
        *_figures(f"import of {events} events", events, imported, written),
        Figure(f"import of {events} events, storing", storing, "events/s", bare["write"], "bare batches"),
        *_figures(f"verify of {events} events", events, verified, read),
        *_figures(f"export of {events} events", events, exported, read),
        *_figures(f"read models of {events} events", events, rebuilt, read),
    ]


async def _rebuild(home: Path, url: str) -> Done:
    """From the start of the api, which answers when its read models are complete."""
    running = start_api(home, url)
    watch = Watch(running)
    weighing = asyncio.create_task(watch.weigh())
    start = perf_counter()
    try:
        async with running.client() as client:

            async def answers() -> bool:
                assert running.process.poll() is None, running.output
                with suppress(httpx.TransportError):
                    return (await client.get("/v1/projects")).status_code == httpx.codes.OK
                return False

            await eventually(answers, within_s=STARTS_WITHIN_S, every_s=0.05)
        took_s = perf_counter() - start
        watch.cpu_s = running.cpu_s()
        return Done(took_s, watch)
    finally:
        weighing.cancel()
        running.process.terminate()
        running.process.wait()


def _figures(name: str, events: int, done: Done, aimed: Aimed) -> list[Figure]:
    watch = done.watch
    figures = [
        Figure(name, events / done.took_s, "events/s", aimed.limit, aimed.limit_name, aimed.aim),
        Figure(f"{name}, the api's CPU", watch.cpu_s / events * 1e6, "us/event"),
        Figure(f"{name}, the api's peak memory", watch.peak_mib, "MiB PSS"),
    ]
    if watch.reads:
        figures.append(Figure(f"{name}, other reads, p50", watch.ms(0.5), "ms"))
        figures.append(Figure(f"{name}, other reads, p99", watch.ms(0.99), "ms", aim=READS))
    return figures


async def measure(*, quick: bool = False) -> list[Figure]:
    return await measure_of(QUICK_EVENTS if quick else EVENTS)
