"""A home whose streams an earlier version stored for users that had no account of their own."""

import json
from contextlib import asynccontextmanager

from nats.js.api import ConsumerConfig, StreamConfig

from libs.supervisor.nats_accounts import PLATFORM
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import connected, patient
from tests.support.nats_users import connected_as
from tests.support.polling import PATIENCE_S, eventually

EVENTS = 300

# As `provision` made them then, but for what does not matter here.
STREAMS = (
    {
        "name": "EVENTS",
        "subjects": ["append.*.*.*.*"],
        "subject_transform": {"src": "append.>", "dest": "events.>"},
        "republish": {"src": "events.>", "dest": "events.>"},
        "discard": "new",
        "deny_delete": True,
        "deny_purge": True,
        "allow_direct": True,
        "allow_atomic": True,
        "duplicate_window": 600_000_000_000,
        "max_msgs_per_subject": -1,
    },
    {
        "name": "COMMANDS",
        "subjects": [
            "commands.*.deployment.submit",
            "commands.*.deployment.delete",
            "commands.*.rejected",
        ],
        "max_age": 604_800_000_000_000,
        "allow_direct": True,
        "duplicate_window": 600_000_000_000,
    },
)


@asynccontextmanager
async def earlier_server(home):
    """The server of that version, at the home's store."""
    server = NatsProcess(home.parent / "earlier", store=home / "nats" / "jetstream")
    server.start()
    try:
        async with connected(server.url) as client:
            yield patient(client)
    finally:
        server.stop()


async def fill(client):
    jetstream = client.jetstream()
    for stream in STREAMS:
        subject = f"$JS.API.STREAM.CREATE.{stream['name']}"
        answer = await client.request(subject, json.dumps(stream).encode(), timeout=PATIENCE_S)
        assert "error" not in json.loads(answer.data), answer.data
    await jetstream.add_consumer("EVENTS", ConsumerConfig(durable_name="reconciler", ack_policy="explicit"))
    await jetstream.add_consumer("COMMANDS", ConsumerConfig(durable_name="api-commands", ack_wait=10))
    for place in range(EVENTS):
        await jetstream.publish(f"append.default.name.a{place}.NameClaimed", b"{}")
    handled = await jetstream.publish("commands.default.deployment.submit", b"handled")
    await jetstream.publish("commands.default.deployment.submit", b"waiting")
    pulled = await jetstream.pull_subscribe_bind(durable="api-commands", stream="COMMANDS")
    (message,) = await pulled.fetch(1, timeout=PATIENCE_S)
    assert message.metadata.sequence.stream == handled.seq
    await message.ack_sync(timeout=PATIENCE_S)
    billing = await jetstream.pull_subscribe(
        "events.>", durable="billing", stream="EVENTS", config=ConsumerConfig(ack_wait=30)
    )
    for _ in range(10):
        (message,) = await billing.fetch(1, timeout=PATIENCE_S)
        await message.ack_sync(timeout=PATIENCE_S)
    return [await jetstream.get_msg("EVENTS", place + 1) for place in range(EVENTS)]


async def test_an_earlier_home_goes_on_with_all_that_it_had(make_platform):
    platform = make_platform()
    platform.home.mkdir(mode=0o700)
    async with earlier_server(platform.home) as client:
        stored = await fill(client)
    await platform.start_and_wait()
    async with connected_as(platform, "provision") as ours, connected_as(platform, "commands") as theirs:
        jetstream = ours.jetstream()
        assert [await jetstream.get_msg("EVENTS", place + 1) for place in range(EVENTS)] == stored
        durable = await jetstream.consumer_info("EVENTS", "reconciler")
        assert durable.num_pending + durable.num_ack_pending == 0, "names wake nobody"
        commands = await jetstream.consumer_info("COMMANDS", "api-commands")
        assert commands.num_pending + commands.num_ack_pending == 1

        async def is_copied():
            return (await theirs.jetstream().stream_info("EVENTS")).state.last_seq == EVENTS

        await eventually(is_copied)
        copied = await theirs.jetstream().get_msg("EVENTS", EVENTS)
        assert (copied.subject, copied.data) == (stored[-1].subject, stored[-1].data)
        assert [one.name for one in await jetstream.consumers_info("EVENTS")] == ["reconciler"]
        billing = await theirs.jetstream().pull_subscribe("events.>", durable="billing", stream="EVENTS")
        (next_one,) = await billing.fetch(1, timeout=PATIENCE_S)
        assert next_one.metadata.sequence.stream == 11


async def test_the_earlier_version_finds_its_streams_again_and_the_next_takes_them_over_again(make_platform):
    platform = make_platform()
    platform.home.mkdir(mode=0o700)
    async with earlier_server(platform.home) as client:
        await fill(client)
    for extra in range(2):
        await platform.start_and_wait()
        async with connected_as(platform, "provision") as ours:
            state = (await ours.jetstream().stream_info("EVENTS")).state
            assert (state.messages, state.last_seq) == (EVENTS + extra, EVENTS + extra)
        await platform.stop()
        async with earlier_server(platform.home) as client:
            state = (await client.jetstream().stream_info("EVENTS")).state
            assert (state.messages, state.last_seq) == (EVENTS + extra, EVENTS + extra)
            await client.jetstream().publish(f"append.default.name.later{extra}.NameClaimed", b"{}")
            await client.jetstream().add_stream(StreamConfig(name=f"MADE{extra}"))
    await platform.start_and_wait()
    async with connected_as(platform, "provision") as ours:
        assert (await ours.jetstream().stream_info("EVENTS")).state.last_seq == EVENTS + 2
        assert await ours.jetstream().stream_info("MADE1")


async def test_up_refuses_a_stream_that_is_there_twice(make_platform):
    platform = make_platform()
    accounts = platform.home / "nats" / "jetstream" / "jetstream"
    for account in ("$G", PLATFORM):
        (accounts / account / "streams" / "EVENTS").mkdir(parents=True)
    platform.start()
    assert await platform.wait() == 1
    assert "the stream EVENTS is there twice" in platform.output
