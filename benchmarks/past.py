"""What a long history costs who asks for the past or changes the present: with 3,000 specs of one deployment,
beside a read of another deployment by its id."""

import asyncio
import json
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.brokers import broker
from benchmarks.figure import AtMost, Figure
from libs.common.bus import subjects
from libs.common.log.jetstream import JetStreamLog
from tests.support.api_process import api_process
from tests.support.many_specs import register_many
from tests.support.rest import a_config

SPECS = 3_000
ROUNDS = 40
QUICK_ROUNDS = 10
AIM = AtMost(30)

Ask = Callable[[], Awaitable[None]]


@dataclass
class Requests:
    """Of one deployment with a long history, and of another one that has none."""

    http: httpx.AsyncClient
    nats: Client
    old: str
    young: str
    first_spec: str
    middle: int
    middle_time: str
    _sent: int = 0
    _answered: dict[str, asyncio.Event] = field(default_factory=dict)

    async def read(self) -> None:
        await self._get(self.young)

    async def at_sequence(self) -> None:
        await self._get(self.old, at=str(self.middle))

    async def at_time(self) -> None:
        await self._get(self.old, at=self.middle_time)

    async def roll_back(self) -> None:
        body = {"specId": self.first_spec}
        (await self.http.post(f"/v1/deployments/{self.old}/rollback", json=body)).raise_for_status()

    async def submit(self) -> None:
        body = {"projectId": "default", "config": self._changed()}
        (await self.http.post("/v1/deployments", json=body)).raise_for_status()

    async def command(self) -> None:
        """From published to answered."""
        body = json.dumps({"config": self._changed()}).encode()
        command_id = str(self._sent)
        attributes = {"id": command_id, "source": "/bench", "type": "submit", "specversion": "1.0"}
        answered = self._answered[command_id] = asyncio.Event()
        headers = {f"ce-{name}": value for name, value in attributes.items()}
        await self.nats.jetstream().publish("commands.default.deployment.submit", body, headers=headers)
        await answered.wait()

    async def on_answer(self, message: Msg) -> None:
        if waiting := self._answered.get(json.loads(message.data)["commandId"]):
            waiting.set()

    def _changed(self) -> dict[str, Any]:
        """Another spec each time; never the first one, so that a rollback always registers."""
        self._sent += 1
        return a_config("old", replicas=100 + self._sent)

    async def _get(self, deployment_id: str, **params: str) -> None:
        (await self.http.get(f"/v1/deployments/{deployment_id}", params=params)).raise_for_status()


async def took_ms(ask: Ask) -> float:
    start = perf_counter()
    await ask()
    return (perf_counter() - start) * 1e3


@asynccontextmanager
async def beside(read: Ask, found: list[float]):
    """Another client reads all the while, one request after the other."""

    async def keep_reading() -> None:
        while True:
            found.append(await took_ms(read))

    reading = asyncio.create_task(keep_reading())
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def measure(*, quick: bool = False) -> list[Figure]:
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with tempfile.TemporaryDirectory() as home:
        async with (
            broker() as client,
            api_process(Path(home), f"nats://{client.connected_url.netloc}") as api,
            api.client() as http,
            api.client() as other,
        ):
            return await _measure(await _prepare(http, client), other, rounds)


async def _prepare(http: httpx.AsyncClient, client: Client) -> Requests:
    ids = {}
    for name in ("old", "young"):
        body = {"projectId": "default", "config": a_config(name)}
        ids[name] = (await http.post("/v1/deployments", json=body)).raise_for_status().json()["deploymentId"]
    log = JetStreamLog(client, source="specstream/benchmark")
    registered = await register_many(log, ids["old"], SPECS, name="old")
    middle = registered[SPECS // 2]
    (event,) = [e async for e in log.read(">", after=middle.sequence - 1, until=middle.sequence)]
    requests = Requests(
        http,
        client,
        **ids,
        first_spec=registered[0].spec_id,
        middle=middle.sequence,
        middle_time=event.time.isoformat().replace("+00:00", "Z"),
    )
    await client.subscribe(subjects.done("*"), cb=requests.on_answer)
    await requests.read()  # waits until the api has taken in all of them
    return requests


async def _measure(requests: Requests, other: httpx.AsyncClient, rounds: int) -> list[Figure]:
    """In turns, so that all meet the same neighbours. other: of the client that reads meanwhile."""
    asked: dict[str, Ask] = {
        "state at a sequence": requests.at_sequence,
        "state at a time": requests.at_time,
        "a submitted change": requests.submit,
        "rollback to the first spec": requests.roll_back,
        "a command, until answered": requests.command,
    }
    alone: list[float] = []
    meanwhile: list[float] = []
    took: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(rounds):
        alone += [await took_ms(requests.read) for _ in range(10)]
        for name, ask in asked.items():
            took[name].append(await took_ms(ask))
    async with beside(replace(requests, http=other).read, meanwhile):
        for _ in range(rounds):
            for ask in asked.values():
                await ask()
    limit, limit_name = statistics.median(alone), "a read by id"
    return [
        *(
            Figure(f"{name}, {SPECS} specs", statistics.median(found), "ms", limit, limit_name, AIM)
            for name, found in took.items()
        ),
        Figure(
            "another reader meanwhile, p99",
            statistics.quantiles(meanwhile, n=100)[98],
            "ms",
            limit,
            limit_name,
            AIM,
        ),
    ]
