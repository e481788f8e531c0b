"""Commands of other systems carried out and answered, beside one at a time merely stored and given out."""

import asyncio
import json
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig

from benchmarks.brokers import broker
from benchmarks.figure import Figure
from libs.common.bus import subjects
from tests.support.api_process import api_process
from tests.support.rest import a_config

SUBMIT = "commands.default.deployment.submit"
COMMANDS = 1000
QUICK_COMMANDS = 200
HISTORY = 1000


class Caller:
    """Publishes submissions of one deployment, each a change, and waits for the last one's answer."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sent = 0
        self._answered: dict[str, asyncio.Event] = {}

    async def on_answer(self, message: Msg) -> None:
        waiting = self._answered.get(json.loads(message.data)["commandId"])
        if waiting is not None:
            waiting.set()

    async def rate(self, commands: int) -> float:
        """Commands per second, from the first published to the last answered."""
        last = self._answered[str(self._sent + commands - 1)] = asyncio.Event()
        start = perf_counter()
        for _ in range(commands):
            await self._publish({"config": a_config(replicas=self._sent % 90 + 1)})
        await last.wait()
        return commands / (perf_counter() - start)

    async def _publish(self, data: Any) -> None:
        attributes = {"id": str(self._sent), "source": "/bench", "type": "submit", "specversion": "1.0"}
        headers = {f"ce-{name}": value for name, value in attributes.items()}
        await self._client.jetstream().publish(SUBMIT, json.dumps(data).encode(), headers=headers)
        self._sent += 1


async def _bare(client: Client, messages: int) -> float:
    """A worker that takes one at a time, stores four messages for it (a note, the change, the outcome, the
    answer), each on the disk before the next, and acknowledges it."""
    jetstream = client.jetstream()
    await jetstream.add_stream(name="BARE", subjects=["bare.>"])
    config = ConsumerConfig(max_ack_pending=1)
    work = await jetstream.pull_subscribe("bare.in", "bare", "BARE", config=config)
    for _ in range(messages):
        await jetstream.publish("bare.in", b"x" * 300)
    start = perf_counter()
    for _ in range(messages):
        [message] = await work.fetch(1, timeout=5)
        for _ in range(4):
            await jetstream.publish("bare.out", b"x" * 300)
        await message.ack()
    return messages / (perf_counter() - start)


async def measure(*, quick: bool = False) -> list[Figure]:
    commands = QUICK_COMMANDS if quick else COMMANDS
    async with broker() as client:
        caller = Caller(client)
        await client.subscribe(subjects.done("*"), cb=caller.on_answer)
        with tempfile.TemporaryDirectory() as home:
            async with api_process(Path(home), f"nats://{client.connected_url.netloc}"):
                await caller.rate(20)
                limit = await _bare(client, commands)
                young = await caller.rate(commands)
                await caller.rate(QUICK_COMMANDS if quick else HISTORY)
                old = await caller.rate(commands)
    beside = "one at a time, four stores each"
    return [
        Figure("commands of one deployment", young, "/s", limit, beside),
        Figure("commands, later in its history", old, "/s", limit, beside),
    ]
