"""The log exchanged underneath a process that goes on: who knows better than the log has to start again."""

import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from nats.aio.client import Client

from libs.common.bus import subjects
from libs.common.errors import LogReplaced
from libs.common.events.deployment import DeploymentCreated
from libs.common.events.envelope import Aggregate, Draft
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import CaughtUp
from tests.support.names import CAUSE, claim, name
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import connected, provisioned
from tests.support.polling import PATIENCE_S


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsProcess]:
    server = NatsProcess(tmp_path / "nats")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def client(server: NatsProcess) -> AsyncIterator[Client]:
    async with connected(server.url) as client:
        await provisioned(client)
        yield client


def log_of(client: Client) -> JetStreamLog:
    return JetStreamLog(client, source="specstream/test", deadline_s=PATIENCE_S)


async def fill(log: JetStreamLog, *keys: str) -> None:
    for key in keys:
        await log.append([claim(name(key))], heads={}, cause=CAUSE)


class Exchanged:
    """The log at an earlier moment, to be put back. store: the server's folder."""

    def __init__(self, server: NatsProcess, tmp_path: Path) -> None:
        self._server = server
        self._store = tmp_path / "nats" / "store"
        self._backup = tmp_path / "backup"

    def back_up(self) -> None:
        self._server.stop()
        shutil.copytree(self._store, self._backup)
        self._server.start()

    def put_back(self) -> None:
        self._server.kill()
        shutil.rmtree(self._store)
        shutil.copytree(self._backup, self._store)
        self._server.start()


@pytest.fixture
def exchanged(server: NatsProcess, tmp_path: Path) -> Exchanged:
    return Exchanged(server, tmp_path)


async def test_of_a_lost_event_everything_tells(client: Client, exchanged: Exchanged):
    await fill(log_of(client), "a")
    exchanged.back_up()
    log = log_of(client)
    await fill(log, "b", "c")
    exchanged.put_back()
    with pytest.raises(LogReplaced, match="event 3"):
        await log.load(">")
    with pytest.raises(LogReplaced):
        await log.append([claim(name("d"))], heads={}, cause=CAUSE)
    with pytest.raises(LogReplaced):
        await log.last_sequence()
    anew = log_of(client)
    assert await anew.last_sequence() == 1
    await fill(anew, "x", "y")
    with pytest.raises(LogReplaced):
        await log.append([claim(name("d"))], heads={}, cause=CAUSE)
    assert [event.aggregate.id async for event in anew.read(">")] == ["a", "x", "y"]


async def test_of_a_lost_event_a_follower_tells(client: Client, exchanged: Exchanged):
    await fill(log_of(client), "a")
    exchanged.back_up()
    await fill(log_of(client), "b", "c")
    async with aclosing(log_of(client).follow(">")) as following:
        for _ in range(3):
            await anext(following)
        assert await anext(following) == CaughtUp(3)
        exchanged.put_back()
        with pytest.raises(LogReplaced):
            await anext(following)


async def test_another_identity_is_noticed_before_anything_is_appended(
    client: Client, server: NatsProcess, tmp_path: Path
):
    log = log_of(client)
    await log.load(">")
    server.kill()
    shutil.rmtree(tmp_path / "nats" / "store")
    server.start()
    async with connected(server.url) as other:
        await provisioned(other)
        with pytest.raises(LogReplaced, match="as before"):
            await log.append([claim(name("d"))], heads={}, cause=CAUSE)
        assert await log_of(other).last_sequence() == 0


async def test_the_same_log_after_a_restart_goes_on(client: Client, server: NatsProcess):
    log = log_of(client)
    await fill(log, "a", "b")
    server.kill()
    server.start()
    await fill(log, "c")
    assert await log.last_sequence() == 3


async def test_a_durable_that_is_ahead_of_a_restored_log_gets_what_comes(
    client: Client, server: NatsProcess, tmp_path: Path
):
    """The broker puts it back to the end of its stream; were it not so, its service would hear nothing."""
    log = log_of(client)
    heads = (await log.append([made("1")], heads={}, cause=CAUSE)).heads
    server.stop()
    messages = next((tmp_path / "nats" / "store").glob("jetstream/*/streams/EVENTS")) / "msgs"
    shutil.copytree(messages, tmp_path / "messages")
    server.start()
    for number in "234":
        await log.append([made(number)], heads=heads, cause=CAUSE)
    assert await woken(client, until=4) == [1, 2, 3, 4]
    server.kill()
    shutil.rmtree(messages)
    shutil.copytree(tmp_path / "messages", messages)
    server.start()
    async with connected(server.url) as anew:
        await provisioned(anew)
        restored = log_of(anew)
        assert await restored.last_sequence() == 1
        for number in "56":
            await restored.append([made(number)], heads={}, cause=CAUSE)
        # Of what it had handled before, it may hear again: how far it was is written a moment later.
        assert (await woken(anew, until=3))[-2:] == [2, 3]


def made(deployment_id: str) -> Draft:
    return Draft(Aggregate("p", "deployment", deployment_id), DeploymentCreated(name="n"))


async def woken(client: Client, *, until: int) -> list[int]:
    """What the reconciler's durable delivers, up to a sequence."""
    jetstream = client.jetstream(timeout=PATIENCE_S)
    work = await jetstream.pull_subscribe_bind(subjects.RECONCILER_DURABLE, subjects.EVENTS_STREAM)
    delivered: list[int] = []
    while until not in delivered:
        for message in await work.fetch(1, timeout=PATIENCE_S):
            await message.ack_sync(timeout=PATIENCE_S)
            delivered.append(message.metadata.sequence.stream)
    return delivered
