"""What each user of the broker can reach: by asking, and by where it has the answers sent."""

import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NoAnswer
from nats.js.api import ConsumerConfig
from nats.js.errors import APIError, NotFoundError

from libs.common.bus import subjects
from libs.common.ids import new_id
from libs.common.log.consumer_names import USUAL, names_of
from libs.common.log.filters import matches_any
from libs.common.log.mirror_subjects import MOST_CONSUMERS
from libs.common.services import SERVICES
from libs.supervisor.nats_config import permissions_of
from tests.support.nats_users import answer, connected_as
from tests.support.platform_process import PlatformProcess
from tests.support.polling import PATIENCE_S, eventually

USERS = (*SERVICES, "commands")

FACT = "default.{}.x.Something"
FACTS = {
    "api": FACT.format("deployment"),
    "reconciler": FACT.format("rollout"),
    "health": FACT.format("replica"),
    "router": FACT.format("traffic"),
}

FORBIDDEN = (
    "append.default.{kind}.x.DeploymentDeleted",
    "events.default.deployment.x.DeploymentDeleted",
    "signals.heartbeat.{other}",
    "metrics.usage.evil",
    "metrics.requests.evil",
    "commands.default.rejected",
    "commands.default.deployment.submit",
    "_INBOX_{other}.1.1",
    "mirrored.M.x",
    "$JS.FC.COMMANDS.x.y",
    "$JS.ACK.EVENTS.reconciler.1.1.1.1.1",
    "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.API.STREAM.DELETE.COMMANDS",
    "$JS.API.STREAM.PURGE.COMMANDS",
    "$JS.API.STREAM.CREATE.EVIL",
    "$JS.API.STREAM.UPDATE.EVENTS",
    "$JS.API.CONSUMER.DELETE.EVENTS.reconciler",
    "$JS.API.CONSUMER.CREATE.EVENTS.reconciler",
    "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.reconciler",
    "$JS.API.CONSUMER.PAUSE.EVENTS.reconciler",
    "$JS.API.CONSUMER.RESET.EVENTS.reconciler",
    "$JS.API.CONSUMER.MSG.NEXT.COMMANDS.api-commands",
    "platform.API.CONSUMER.CREATE.EVENTS",
)
"""What an answer must not reach: `{other}` is another service, `{kind}` a kind of fact of another one."""


@dataclass
class Watched:
    """What came to the account of the streams, and how its streams were before."""

    provision: Client
    heard: list[str] = field(default_factory=list)
    before: dict[str, object] = field(default_factory=dict)

    async def state(self) -> dict[str, object]:
        jetstream = self.provision.jetstream()
        found: dict[str, object] = {}
        for stream in await jetstream.streams_info():
            name = str(stream.config.name)
            # Heartbeats and samples go on, and the user appends what it may.
            goes_on = name in {"SIGNALS", "METRICS", "EVENTS"}
            found[name] = (stream.config, None if goes_on else stream.state)
        for stream, durable in (("EVENTS", "reconciler"), ("COMMANDS", "api-commands")):
            info = await jetstream.consumer_info(stream, durable)
            found[durable] = (info.config, info.paused)
        return found


@asynccontextmanager
async def watching(platform: PlatformProcess) -> AsyncIterator[Watched]:
    async with connected_as(platform, "provision") as provision:
        watched = Watched(provision)

        async def on_message(message: Msg) -> None:
            watched.heard.append(message.subject)

        watched.before = await watched.state()
        await provision.subscribe(">", cb=on_message)
        await provision.flush()
        yield watched


async def ways_to_be_answered(client: Client, user: str) -> Sequence[tuple[str, bytes]]:
    """Requests of every kind that a user may make and whose answer the server sends somewhere."""
    fact = json.dumps({"name": "EVIL", "subjects": ["evil.>"], "stream_name": "EVENTS"}).encode()
    ways = [
        ("$JS.API.STREAM.MSG.GET.EVENTS", b'{"seq": 1}'),
        ("$JS.API.DIRECT.GET.EVENTS", b'{"seq": 1}'),
        ("$JS.API.DIRECT.GET.EVENTS", b'{"next_by_subj": "events.>", "seq": 1, "batch": 3}'),
    ]
    if user in FACTS:
        stored = await client.jetstream().publish(f"append.{FACTS[user]}", fact)
        # Its own words come back as the answer.
        ways += [
            ("$JS.API.DIRECT.GET.EVENTS", json.dumps({"seq": stored.seq}).encode()),
            (f"append.{FACTS[user]}", fact),
        ]
    if user == "commands":
        await client.jetstream().add_consumer(
            "EVENTS", ConsumerConfig(durable_name=f"evil-{new_id()[:8]}", ack_policy="explicit")
        )
        name = (await client.jetstream().consumers_info("EVENTS"))[-1].name
        ways += [
            ("$JS.API.STREAM.INFO.EVENTS", b""),
            (f"$JS.API.CONSUMER.INFO.EVENTS.{name}", b""),
            (f"$JS.API.CONSUMER.MSG.NEXT.EVENTS.{name}", b'{"batch": 1}'),
            ("commands.default.project.delete", b"{}"),
        ]
    return ways


@pytest.mark.parametrize("user", USERS)
async def test_no_answer_reaches_what_its_asker_may_not_name(lasting_platform: PlatformProcess, user: str):
    """A reply subject is any that the asker likes: no permission holds it."""
    other = next(service for service in SERVICES if service != user)
    kind = "deployment" if user != "api" else "replica"
    every = [target.format(other=other, kind=kind) for target in FORBIDDEN]
    targets = [target for target in every if not matches_any(permissions_of(user).publish, target)]
    async with connected_as(lasting_platform, user) as client, watching(lasting_platform) as watched:
        ways = await ways_to_be_answered(client, user)
        for (request, payload), target in itertools.product(ways, targets):
            await client.publish(request, payload, reply=target)
        await client.flush()
        # Answered after all of the above.
        for request, payload in ways:
            await answer(client, request, payload)
        await watched.provision.flush()
        heard = set(watched.heard) & set(targets) - {f"signals.heartbeat.{other}"}
        assert not heard
        assert await watched.state() == watched.before


@pytest.mark.parametrize("user", [user for user in USERS if user != "commands"])
@pytest.mark.parametrize(
    "subject",
    [
        "append.default.deployment.x.DeploymentDeleted",
        "commands.default.deployment.submit",
        "signals.heartbeat.x",
        "$JS.API.STREAM.DELETE.COMMANDS",
        "$JS.API.CONSUMER.DELETE.EVENTS.reconciler",
    ],
)
async def test_no_consumer_delivers_to_what_is_ours(
    lasting_platform: PlatformProcess, user: str, subject: str
):
    await assert_nothing_is_delivered(lasting_platform, user, subject)


@pytest.mark.parametrize(
    "subject",
    [
        "append.default.deployment.x.DeploymentDeleted",
        "platform.API.CONSUMER.CREATE.EVENTS",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.FC.EVENTS.x.y",
    ],
)
async def test_no_consumer_of_another_system_delivers_to_what_is_ours(
    lasting_platform: PlatformProcess, subject: str
):
    await assert_nothing_is_delivered(lasting_platform, "commands", subject)
    async with connected_as(lasting_platform, "provision-mirror") as owner:
        assert await owner.jetstream().stream_info("EVENTS")


_made = count()
"""A name is taken for some seconds after its consumer was left."""


async def assert_nothing_is_delivered(platform: PlatformProcess, user: str, subject: str) -> None:
    async with connected_as(platform, "api") as api:
        await api.jetstream().publish("append.default.name.a.NameClaimed", b"{}")
    async with connected_as(platform, user) as client, watching(platform) as watched:
        for deliver, is_sentinel in ((subject, False), (client.new_inbox(), True)):
            came = await client.subscribe(deliver) if is_sentinel else None
            name = names_of(user)[next(_made) % USUAL]
            config = {
                "name": name,
                "deliver_subject": deliver,
                "ack_policy": "none",
                "mem_storage": True,
                "inactive_threshold": 5 * 10**9,
            }
            request = json.dumps({"stream_name": "EVENTS", "config": config}).encode()
            subject_ = f"$JS.API.CONSUMER.CREATE.EVENTS.{name}"
            assert await client.request(subject_, request, timeout=PATIENCE_S)
            if came is not None:
                await came.next_msg(timeout=PATIENCE_S)
        await watched.provision.flush()
        assert subject not in watched.heard
        assert await watched.state() == watched.before


@pytest.mark.parametrize("user", [user for user in USERS if user != "commands"])
async def test_a_followers_consumer_cannot_be_the_reconcilers(lasting_platform: PlatformProcess, user: str):
    request = {"stream_name": "EVENTS", "config": {"durable_name": "reconciler", "max_deliver": 1}}
    async with connected_as(lasting_platform, user) as client, watching(lasting_platform) as watched:
        for name in ("reconciler", names_of(user)[0]):
            subject = f"$JS.API.CONSUMER.CREATE.EVENTS.{name}"
            found = await answer(client, subject, json.dumps(request).encode())
            assert found is None or "error" in json.loads(found.data)
        assert await watched.state() == watched.before


async def test_another_system_changes_nothing_of_ours_by_our_names(lasting_platform: PlatformProcess):
    async with connected_as(lasting_platform, "commands") as client, watching(lasting_platform) as watched:
        jetstream = client.jetstream()
        config = ConsumerConfig(durable_name="reconciler", ack_policy="explicit", max_deliver=1)
        assert (await jetstream.add_consumer("EVENTS", config)).config.max_deliver == 1
        await jetstream.delete_consumer("EVENTS", "reconciler")
        for stream in ("COMMANDS", "EVIL"):
            with pytest.raises(NoAnswer):
                await client.request(f"$JS.API.STREAM.INFO.{stream}", timeout=0.25)
        assert await watched.state() == watched.before


async def test_the_consumers_of_other_systems_are_bounded(lasting_platform: PlatformProcess):
    async with connected_as(lasting_platform, "commands") as client:
        jetstream = client.jetstream()
        names = [f"many-{place}" for place in range(MOST_CONSUMERS + 1)]

        async def make_all() -> None:
            for name in names:
                await jetstream.add_consumer("EVENTS", ConsumerConfig(durable_name=name))

        with pytest.raises(APIError, match="maximum consumers"):
            await make_all()
        for name in names:
            with suppress(NotFoundError):
                await jetstream.delete_consumer("EVENTS", name)


async def test_only_the_api_publishes_rejections(lasting_platform: PlatformProcess):
    async with connected_as(lasting_platform, "commands") as listening:
        heard: list[bytes] = []

        async def on_message(message: Msg) -> None:
            heard.append(message.data)

        await listening.subscribe("commands.*.rejected", cb=on_message)
        await listening.flush()
        for user in [*(user for user in USERS if user != "api"), "api"]:
            async with connected_as(lasting_platform, user) as client:
                await client.publish(subjects.rejected("default"), user.encode())
                await client.flush()
        await eventually(lambda: b"api" in heard)
        assert heard == [b"api"]


async def test_other_systems_hear_and_read_the_same_under_the_same_sequences(
    lasting_platform: PlatformProcess,
):
    heard: list[tuple[int, str]] = []

    async def on_event(message: Msg) -> None:
        heard.append((int((message.headers or {})["Nats-Sequence"]), message.subject))

    async with (
        connected_as(lasting_platform, "commands") as client,
        connected_as(lasting_platform, "api") as api,
    ):
        await client.subscribe("events.>", cb=on_event)
        await client.flush()
        stored = [
            (ack.seq, f"events.default.name.{place}.NameClaimed")
            for place in range(200)
            for ack in [await api.jetstream().publish(f"append.default.name.{place}.NameClaimed", b"{}")]
        ]
        first = stored[0][0]
        # What an earlier test has said may still be on its way.
        await eventually(lambda: len([one for one in heard if one[0] >= first]) >= len(stored))
        assert [one for one in heard if one[0] >= first] == stored
        ordered = await client.jetstream().subscribe(
            "events.>",
            stream="EVENTS",
            ordered_consumer=True,
            config=ConsumerConfig(deliver_policy="by_start_sequence", opt_start_seq=stored[0][0]),
        )
        read = [await ordered.next_msg(timeout=PATIENCE_S) for _ in stored]
        assert [(message.metadata.sequence.stream, message.subject) for message in read] == stored
