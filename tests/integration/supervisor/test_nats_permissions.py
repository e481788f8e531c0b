"""The broker itself enforces who may say what, under the configuration that `up` writes (promise 9)."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager, suppress

import nkeys
import pytest
from nats.js.api import ConsumerConfig

from libs.common.bus import subjects
from libs.common.events.envelope import append_subject
from libs.common.ids import new_id
from libs.common.services import COPIED, SERVICES
from tests.support.nats_users import connected_as
from tests.support.polling import PATIENCE_S

ID = "0" * 32
FACTS = {
    kind: f"default.{kind}.{ID}.Something"
    for kind in ("name", "project", "deployment", "rollout", "replica", "traffic", "router", "scaling")
}
WRITER = {
    "name": "api",
    "project": "api",
    "deployment": "api",
    "rollout": "reconciler",
    "replica": "health",
    "traffic": "router",
    "router": "router",
    "scaling": "autoscaler",
}


LATE = b"-ERR 'Authentication Timeout'"
"""The broker's word for who has not said who it is two seconds after it was let in."""


class Wire:
    """A client that is nothing but the protocol: the broker's answer to each line is certain."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    async def login(self, seed):
        """Whether it was in time."""
        greeting = json.loads((await self._reader.readline()).removeprefix(b"INFO "))
        pair = nkeys.from_seed(seed)
        signature = base64.urlsafe_b64encode(pair.sign(greeting["nonce"].encode())).rstrip(b"=").decode()
        options = {"verbose": False, "nkey": pair.public_key.decode(), "sig": signature}
        try:
            complaints = await self._complaints(f"CONNECT {json.dumps(options)}")
        except ConnectionError:  # what was said too late is not read any more
            return False
        assert complaints in ([], [LATE])
        return not complaints

    async def may_publish(self, subject):
        return await self._is_accepted(f"PUB {subject} 2\r\n{{}}")

    async def may_subscribe(self, subject):
        return await self._is_accepted(f"SUB {subject} {new_id()}")

    async def _is_accepted(self, command):
        return not await self._complaints(command)

    async def _complaints(self, command):
        """A complaint about a line comes before the answer to the ping after it."""
        self._writer.write(f"{command}\r\nPING\r\n".encode())
        complaints = []
        while (line := await asyncio.wait_for(self._reader.readline(), PATIENCE_S)) != b"PONG\r\n":
            if line.startswith(b"-ERR"):
                complaints.append(line.strip())
            if complaints == [LATE]:
                break
            assert line, "the broker hung up"
        return complaints


@asynccontextmanager
async def connected_to(platform):
    reader, writer = await asyncio.open_connection("127.0.0.1", platform.ports()["nats"])
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def wire(platform, user):
    seed = (platform.home / "nats" / f"{user}.nk").read_bytes()
    while True:
        async with connected_to(platform) as streams:
            client = Wire(*streams)
            if await client.login(seed):
                yield client
                return


@pytest.mark.parametrize("user", [*SERVICES, "commands"])
async def test_each_kind_of_fact_has_one_writer(lasting_platform, user):
    async with wire(lasting_platform, user) as client:
        allowed = {kind for kind, fact in FACTS.items() if await client.may_publish(f"append.{fact}")}
    assert allowed == {kind for kind, writer in WRITER.items() if writer == user}


@pytest.mark.parametrize("user", [*SERVICES, "commands"])
async def test_only_the_log_says_what_is_stored_and_hears_what_is_offered(lasting_platform, user):
    async with wire(lasting_platform, user) as client:
        for fact in FACTS.values():
            assert not await client.may_publish(f"events.{fact}")
            assert not await client.may_subscribe(f"append.{fact}")
        assert not await client.may_subscribe("append.>")


@pytest.mark.parametrize("user", SERVICES)
async def test_a_service_speaks_for_itself_alone(lasting_platform, user):
    async with wire(lasting_platform, user) as client:
        for other in SERVICES:
            assert await client.may_publish(subjects.heartbeat(other)) == (other == user)
        assert not await client.may_publish("$JS.API.STREAM.DELETE.EVENTS")
        assert not await client.may_publish("$JS.API.STREAM.PURGE.EVENTS")
        assert not await client.may_publish("$JS.API.STREAM.UPDATE.EVENTS")
        assert not await client.may_publish("commands.default.deployment.submit")
        for answer in (subjects.rejected("default"), subjects.done("default")):
            assert await client.may_publish(answer) == (user == "api")
        for subject in ("outcomes.a", "$JS.API.STREAM.MSG.GET.OUTCOMES"):
            assert await client.may_publish(subject) == (user == "api")
        assert await client.may_publish("$KV.SCALING.a") == (user == "autoscaler")
        assert await client.may_publish("$JS.API.STREAM.MSG.GET.KV_LEASES") == (user in COPIED)
        for other in SERVICES:
            lease = f"$KV.LEASES.{other}"
            assert await client.may_publish(lease) == (user in COPIED and other == user)
        assert await client.may_publish("$JS.API.STREAM.MSG.GET.KV_SCALING") == (
            user in {"api", "autoscaler"}
        )
        assert await client.may_publish("checks.a") == (user == "health")
        for subject in ("tails.a.0", "$JS.API.STREAM.INFO.TAILS"):
            assert await client.may_publish(subject) == (user == "health")
        assert await client.may_publish("$JS.API.DIRECT.GET.TAILS") == (user in {"api", "health"})
        assert not await client.may_publish("$JS.API.STREAM.PURGE.TAILS")
        assert await client.may_publish("$JS.API.STREAM.MSG.GET.CHECKS") == (user == "api")


@pytest.mark.parametrize(
    ("subject", "is_allowed"),
    [
        pytest.param("events.>", True, id="events"),
        pytest.param("commands.*.rejected", True, id="refusals"),
        pytest.param("commands.default.rejected", True, id="one project's refusals"),
        pytest.param("commands.*.done", True, id="what is done"),
        pytest.param("outcomes.>", False, id="not what becomes of others' commands"),
        pytest.param("commands.>", False, id="not other systems' commands"),
        pytest.param("signals.>", False, id="not signals"),
        pytest.param("_INBOX_api.>", False, id="not the answers to a service"),
        pytest.param(">", False, id="not everything"),
    ],
)
async def test_what_another_system_hears(lasting_platform, subject, is_allowed):
    async with wire(lasting_platform, "commands") as client:
        assert await client.may_subscribe(subject) == is_allowed


async def test_another_system_asks_with_a_plain_client(lasting_platform):
    async with connected_as(lasting_platform, "commands") as client:
        stored = await client.jetstream().publish("commands.default.deployment.submit", b"{}")
        assert stored.stream == subjects.COMMANDS_STREAM


async def test_another_system_forges_no_outcome(lasting_platform):
    async with wire(lasting_platform, "commands") as client:
        for subject in ("outcomes.a", "$JS.API.STREAM.MSG.GET.OUTCOMES", "$JS.API.STREAM.PURGE.OUTCOMES"):
            assert not await client.may_publish(subject)


async def test_another_system_reads_the_events_resumably(lasting_platform):
    subject = f"events.default.deployment.{new_id()}.Something"
    async with connected_as(lasting_platform, "api") as api:
        first = await api.jetstream().publish(append_subject(subject), b"{}")
    async with connected_as(lasting_platform, "commands") as client:
        stream = client.jetstream()
        ordered = await stream.subscribe(subject, stream=subjects.EVENTS_STREAM, ordered_consumer=True)
        assert (await ordered.next_msg(timeout=PATIENCE_S)).metadata.sequence.stream == first.seq
        pulled = await stream.pull_subscribe(
            subject, durable="billing", stream=subjects.EVENTS_STREAM, config=ConsumerConfig(ack_wait=5)
        )
        (event,) = await pulled.fetch(1, timeout=PATIENCE_S)
        await event.ack_sync(timeout=PATIENCE_S)


async def test_nobody_enters_without_a_key(lasting_platform):
    complaint = LATE
    while complaint == LATE:
        async with connected_to(lasting_platform) as (reader, writer):
            assert (await reader.readline()).startswith(b"INFO ")
            writer.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
            with suppress(ConnectionError):
                complaint = (await reader.readline()).strip()
    assert complaint == b"-ERR 'Authorization Violation'"
