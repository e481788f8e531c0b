"""What a service may do to the log, held by a real server with the users of `permissions`."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

import nkeys
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NoAnswer

from libs.common.errors import LogUnavailable
from libs.common.events.envelope import Aggregate, Draft, select
from libs.common.events.name import NameReleased
from libs.common.log import permissions
from libs.common.log.consumer_names import USUAL, names_of
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.permissions import Permissions
from libs.common.log.port import CaughtUp
from libs.common.log.provision import ProvisionSettings, main
from tests.support.names import CAUSE, claim, name
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import connected, make_fresh
from tests.support.polling import PATIENCE_S, eventually

USERS = {
    "provision": Permissions((">",), (">",)),
    "writer": permissions.service("writer") + permissions.appender(["events.*.name.*.*"]),
    "reader": permissions.service("reader") + permissions.reader(names_of("reader")),
    "worker": permissions.service("worker") + permissions.worker("EVENTS", "reconciler"),
}

Connect = Callable[[str], AbstractAsyncContextManager[Client]]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("seeds")
    paths = {}
    for number, user in enumerate(USERS):
        paths[user] = directory / f"{user}.nk"
        paths[user].write_bytes(nkeys.encode_seed(bytes([number]) * 32, nkeys.PREFIX_BYTE_USER))
    return paths


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, seeds: dict[str, Path]) -> Iterator[NatsProcess]:
    users = [
        {
            "nkey": nkeys.from_seed(seeds[user].read_bytes()).public_key.decode(),
            "permissions": {
                "publish": {"allow": allowed.publish},
                "subscribe": {"allow": allowed.subscribe},
            },
        }
        for user, allowed in USERS.items()
    ]
    config = f"authorization {json.dumps({'users': users})}"
    server = NatsProcess(tmp_path_factory.mktemp("nats"), config=config)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def connect(server: NatsProcess, seeds: dict[str, Path]) -> Connect:
    """Connects as a user, to an empty provisioned log."""

    def connect_as(user: str) -> AbstractAsyncContextManager[Client]:
        return connected(server.url, nkeys_seed=str(seeds[user]), inbox_prefix=f"_INBOX_{user}".encode())

    async with connect_as("provision") as client:
        await make_fresh(client)
    return connect_as


async def test_an_appender_can_do_all_that_the_log_promises(connect: Connect):
    async with connect("writer") as client:
        log = JetStreamLog(client, source="specstream/writer")
        draft = claim(name("a"))
        first = await log.append([draft], heads={}, cause=CAUSE)
        assert await log.append([draft], heads={}, cause=CAUSE) == first
        await log.append([claim(name("b")), claim(name("c"))], heads={}, cause=CAUSE)
        assert await log.last_sequence() == 3


async def test_a_reader_can_load_read_and_follow(connect: Connect):
    async with connect("writer") as client:
        log = JetStreamLog(client, source="specstream/writer")
        for start in range(0, 1500, 500):
            drafts = [claim(name(f"n{n}")) for n in range(start, start + 500)]
            await log.append(drafts, heads={}, cause=CAUSE)
    async with connect("reader") as client:
        log = JetStreamLog(client, source="specstream/reader", consumers=names_of("reader"))
        assert len((await log.load(select(kind="name"))).events) == 1500
        assert len([event async for event in log.read(">")]) == 1500
        assert await log.sequence_at((await log.load(name("n1499").filter)).events[0].time) == 1500
        async with asyncio.timeout(PATIENCE_S), aclosing(log.follow(select(kind="name"))) as events:
            async for event in events:
                if isinstance(event, CaughtUp):
                    break
        assert event.sequence == 1500


async def test_a_reader_makes_consumers_by_its_own_names_alone_and_so_only_so_many(connect: Connect):
    async with connect("reader") as client:

        async def made(name: str) -> bool:
            config = {
                "name": name,
                "deliver_subject": client.new_inbox(),
                "ack_policy": "none",
                "inactive_threshold": 60 * 10**9,
            }
            asked = json.dumps({"stream_name": "EVENTS", "config": config, "action": "create"}).encode()
            try:
                within_s = PATIENCE_S if name in names_of("reader") else 0.5
                subject = f"$JS.API.CONSUMER.CREATE.EVENTS.{name}"
                answer = await client.request(subject, asked, timeout=within_s)
            except NoAnswer:
                return False
            return "error" not in json.loads(answer.data)

        wanted = [*names_of("reader"), "reader", "reader-x", f"reader-{USUAL}", "writer-0", "reconciler"]
        outcomes = await asyncio.gather(*(made(each) for each in wanted))
        assert {each for each, is_so in zip(wanted, outcomes, strict=True) if is_so} == set(
            names_of("reader")
        )


async def test_a_follower_that_gets_no_consumer_says_so_until_it_gets_one(connect: Connect):
    """All of its names are taken by another process of the same service."""
    told: list[str] = []
    (name_,) = names_of("reader")[:1]

    async def follow(log: JetStreamLog) -> None:
        async with aclosing(log.follow(">")) as events:
            async for _ in events:
                pass

    async with connect("reader") as client, connect("reader") as other:
        first = JetStreamLog(other, source="specstream/reader", consumers=[name_])
        second = JetStreamLog(
            client, source="specstream/reader", consumers=[name_], on_stuck=told.append, deadline_s=5
        )
        taking = asyncio.ensure_future(follow(first))
        async with connect("provision") as owner:
            await eventually(lambda: is_consumer(owner, name_))
        following = asyncio.ensure_future(follow(second))
        in_use = "the log cannot be followed: all consumers that this service may have are in use"
        await eventually(lambda: told[-1:] == [in_use])
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        await eventually(lambda: told[-1] == "")
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def is_consumer(owner: Client, name: str) -> bool:
    return any(
        info.name == name for info in await owner.jetstream(timeout=PATIENCE_S).consumers_info("EVENTS")
    )


async def test_a_foreign_fact_is_denied(connect: Connect):
    """It shows as an answer that never comes."""
    async with connect("writer") as client, connect("reader") as reading:
        log = JetStreamLog(client, source="specstream/writer", deadline_s=0.6, attempt_s=0.2)
        foreign = Aggregate("default", "replica", "d1")
        for drafts in (
            [claim(foreign)],
            [claim(name("a")), claim(foreign)],
            [claim(name("a")), claim(foreign), claim(name("b"))],
        ):
            with pytest.raises(LogUnavailable):
                await log.append(drafts, heads={}, cause=CAUSE)
        assert await JetStreamLog(reading, source="x").last_sequence() == 0


@pytest.mark.parametrize("user", ["writer", "reader", "worker"])
async def test_nobody_says_what_only_the_log_says(connect: Connect, user: str):
    """Who listens to `events.>` hears the server's own messages there."""
    heard: list[str] = []

    async def on_message(message: Msg) -> None:
        heard.append(message.subject)

    async with connect("provision") as listening, connect(user) as client:
        await listening.subscribe("events.>", cb=on_message)
        await listening.flush()
        await client.publish("events.default.name.a.NameClaimed", b"{}")
        await client.flush()
        await listening.flush()
    assert heard == []


async def test_a_reader_writes_nothing(connect: Connect):
    async with connect("reader") as client:
        log = JetStreamLog(client, source="specstream/reader", deadline_s=0.6, attempt_s=0.2)

        async def is_said() -> bool:
            """A broker that stands still for longer than the deadline says nothing in time."""
            with pytest.raises(LogUnavailable) as refused:
                await log.append([claim(name("a"))], heads={}, cause=CAUSE)
            return "permission" in str(refused.value)

        await eventually(is_said)
        assert await JetStreamLog(client, source="x").last_sequence() == 0


@pytest.mark.parametrize("user", ["writer", "reader", "worker"])
@pytest.mark.parametrize(
    "request_",
    [
        "STREAM.DELETE.EVENTS",
        "STREAM.PURGE.EVENTS",
        "STREAM.UPDATE.EVENTS",
        "STREAM.CREATE.OTHER",
        "CONSUMER.DELETE.EVENTS.reconciler",
    ],
)
async def test_nobody_but_provision_touches_streams_and_durables(connect: Connect, user: str, request_: str):
    async with connect(user) as client:
        with pytest.raises(NoAnswer):
            await client.request(f"$JS.API.{request_}", b"{}", timeout=0.2)


async def test_a_worker_consumes_its_durable(connect: Connect):
    async with connect("provision") as client:
        log = JetStreamLog(client, source="specstream/api")
        deployment = Aggregate("default", "deployment", "d1")
        drafts = [
            claim(name("a")),
            claim(deployment),
            Draft(deployment, NameReleased(parent="p", name="n", owner_id="o")),
        ]
        await log.append(drafts, heads={}, cause=CAUSE)
    async with connect("worker") as client:
        jetstream = client.jetstream(timeout=PATIENCE_S)
        subscription = await jetstream.pull_subscribe_bind(durable="reconciler", stream="EVENTS")
        messages = [(await subscription.fetch(1, timeout=PATIENCE_S))[0] for _ in range(2)]
        assert [message.metadata.sequence.stream for message in messages] == [2, 3]
        for message in messages:
            await message.ack_sync(timeout=PATIENCE_S)


@pytest.mark.usefixtures("connect")
async def test_provisioning_runs_as_its_user(server: NatsProcess, seeds: dict[str, Path], monkeypatch):
    monkeypatch.setenv("SPECSTREAM_NATS_URL", server.url)
    monkeypatch.setenv("SPECSTREAM_NATS_SEED_FILE", str(seeds["provision"]))
    await main(ProvisionSettings())
