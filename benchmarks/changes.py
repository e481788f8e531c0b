"""Changes a second by many clients of the api, beside the same batches of three published bare.

Each client creates one deployment after the other: three events in one batch, durable and visible before it
is answered. The api runs in a process of its own; the clients are bare sockets, so that they take little of
the cores that the api and the broker need.
"""

import asyncio
import json
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from nats.aio.client import Client

from benchmarks.brokers import broker
from benchmarks.figure import AtLeastOfLimit, Figure
from libs.common.events.envelope import append_subject, parse_subject
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import Stored
from tests.support.api_process import ApiProcess, api_process
from tests.support.rest import KEY, a_config

CLIENTS = 32
ROUNDS = 15
QUICK_ROUNDS = 5
ROUND_S = 1.0
"""Short, and the two in turns, so that what else the machine does meets both alike."""

AIM = AtLeastOfLimit(0.7)

Work = Callable[[float], Awaitable[int]]
"""One client until that moment; how many changes it made."""


class Caller:
    """A client that keeps its connection."""

    def __init__(self, running: ApiProcess) -> None:
        self._port = running.port

    async def __aenter__(self) -> "Caller":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def create(self, name: str) -> None:
        body = json.dumps({"config": a_config(name), "projectId": "default"})
        self._writer.write(
            f"POST /v1/deployments HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\n"
            f"authorization: Bearer {KEY}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        answer = await self._reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"not answered: {head!r} {answer!r}")


class Bare:
    """Publishes batches like the one it is given, each of new aggregates, and waits until it is stored."""

    def __init__(self, client: Client, batch: list[Stored]) -> None:
        self._client = client
        self._jetstream = client.jetstream()
        self._batch = batch

    async def append(self) -> None:
        batch_id, last = new_id(), len(self._batch)
        ids: dict[str, str] = {}
        for place, event in enumerate(self._batch, 1):
            aggregate, event_type = parse_subject(event.subject)
            headers = {
                **event.headers,
                "Nats-Msg-Id": new_id(),
                "Nats-Batch-Id": batch_id,
                "Nats-Batch-Sequence": str(place),
            }
            is_first = aggregate.id not in ids
            fresh = replace(aggregate, id=ids.setdefault(aggregate.id, new_id()))
            if is_first:
                headers["Nats-Expected-Last-Subject-Sequence"] = "0"
                headers["Nats-Expected-Last-Subject-Sequence-Subject"] = fresh.filter
            subject = append_subject(fresh.subject(event_type))
            if place < last:
                await self._client.publish(subject, event.data, headers=headers)
        headers["Nats-Batch-Commit"] = "1"
        await self._jetstream.publish(subject, event.data, headers=headers, timeout=30)


async def _rate(work: Work) -> tuple[int, float]:
    """The changes of all clients together, and the seconds that they took."""
    start = perf_counter()
    made = await asyncio.gather(*(work(start + ROUND_S) for _ in range(CLIENTS)))
    return sum(made), perf_counter() - start


async def measure(*, quick: bool = False) -> list[Figure]:
    """The bare batches go to a broker of their own, where no api reads them."""
    async with broker() as client, broker() as bare_client:
        with tempfile.TemporaryDirectory() as home:
            url = f"nats://{client.connected_url.netloc}"
            async with api_process(Path(home), url) as running, Caller(running) as first:
                await first.create("first")
                log = JetStreamLog(client, source="specstream/benchmark")
                bare = Bare(bare_client, [event async for event in log.read_raw()])

                async def change(until: float) -> int:
                    made = 0
                    async with Caller(running) as caller:
                        while perf_counter() < until:
                            await caller.create(new_id())
                            made += 1
                    return made

                async def append(until: float) -> int:
                    made = 0
                    while perf_counter() < until:
                        await bare.append()
                        made += 1
                    return made

                rates, limits, cpu_s, changes = [], [], 0.0, 0
                for _ in range(QUICK_ROUNDS if quick else ROUNDS):
                    before_s = running.cpu_s()
                    made, took_s = await _rate(change)
                    cpu_s += running.cpu_s() - before_s
                    changes += made
                    rates.append(made / took_s)
                    made, took_s = await _rate(append)
                    limits.append(made / took_s)
    own, limit = statistics.median(rates), statistics.median(limits)
    name = f"changes, {CLIENTS} clients"
    return [
        Figure(name, own, "/s", limit, "the same batches of three bare", AIM),
        Figure(f"{name}, the api's CPU", cpu_s / changes * 1e6, "us"),
    ]
