"""Provisioning against a real server: it makes, leaves alone, puts right, or refuses."""

import dataclasses
import sys
from asyncio import create_subprocess_exec
from subprocess import PIPE

import pytest
from faststream.nats import JStream, NatsBroker
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import NoStreamResponseError, ServiceUnavailableError

from libs.common.errors import AppendConflict
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.events.name import NameClaimed
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import Head
from libs.common.log.provision import (
    CannotProvision,
    _make_keeping_all,
    provision,
)
from libs.common.log.streams import make_durables, make_streams
from tests.support.names import CAUSE, claim, name
from tests.support.nats_server import NatsEndpoint
from tests.support.polling import PATIENCE_S


async def configs(client: Client) -> dict[str, api.StreamConfig]:
    return {info.config.name: info.config for info in await client.jetstream().streams_info()}


async def test_makes_every_stream_and_durable(log_client: Client):
    streams = {
        "EVENTS",
        "COMMANDS",
        "OUTCOMES",
        "KV_SCALING",
        "KV_LEASES",
        "TAILS",
        "SIGNALS",
        "METRICS",
        "CHECKS",
        "PARKED",
        "PROBES",
    }
    assert set(await configs(log_client)) == streams
    found = {}
    for durable in make_durables():
        info = await log_client.jetstream().consumer_info(durable.stream, durable.wanted.durable_name)
        config = info.config
        found[info.name] = (config.ack_wait, config.max_deliver, config.max_ack_pending)
    assert found == {"reconciler": (10, 20, 1000), "api-commands": (3, -1, 1)}


async def test_the_log_keeps_everything_for_ever(log_client: Client):
    events = (await configs(log_client))["EVENTS"]
    assert (events.deny_delete, events.deny_purge, events.allow_rollup_hdrs) == (True, True, False)
    assert events.allow_msg_ttl is not True
    assert (events.discard, events.storage, events.max_age) == ("new", "file", 0)


@pytest.mark.parametrize("is_earlier", [False, True])
async def test_commands_wait_until_they_are_handled_and_the_next_are_refused_when_too_many_wait(
    log_client: Client, is_earlier: bool
):
    """An earlier version kept all of a week, and dropped what was not handled in that time."""
    jetstream = log_client.jetstream()
    if is_earlier:
        present = (await jetstream.stream_info("COMMANDS")).config
        earlier = present.evolve(retention="limits", discard="old", max_age=7 * 86400.0, max_bytes=-1)
        await jetstream.update_stream(earlier)
    for _ in range(3):
        await jetstream.publish("commands.default.deployment.submit", b"{}")
    pulled = await jetstream.pull_subscribe_bind(durable="api-commands", stream="COMMANDS")
    (handled,) = await pulled.fetch(1, timeout=PATIENCE_S)
    await handled.ack_sync(timeout=PATIENCE_S)

    await provision(log_client)

    info = await jetstream.stream_info("COMMANDS")
    assert (info.config.discard, info.config.max_age) == ("new", 0)
    assert (info.state.first_seq, info.state.messages) == (2, 2)
    few = info.config.evolve(max_bytes=4_000_000)
    await jetstream.update_stream(few)
    await fill_commands(jetstream, few.max_bytes)
    # What nobody waits for is not kept, so there is always room to answer.
    await jetstream.publish("commands.default.rejected", b"{}")
    state = (await jetstream.stream_info("COMMANDS")).state
    assert (state.first_seq, state.bytes <= few.max_bytes) == (2, True)


async def fill_commands(jetstream: JetStreamContext, max_bytes: int) -> None:
    body = b"x" * 1_000_000
    for _ in range(max_bytes // len(body) - 1):
        await jetstream.publish("commands.default.deployment.submit", body)
    with pytest.raises(ServiceUnavailableError):
        await jetstream.publish("commands.default.deployment.submit", body)


async def test_every_stream_has_a_limit_but_the_log(log_client: Client):
    for stream, config in (await configs(log_client)).items():
        assert (config.max_bytes > 0) == (stream != "EVENTS"), stream


async def test_no_command_is_thrown_away_before_its_durable_is_there(log_client: Client):
    jetstream = log_client.jetstream()
    await jetstream.delete_stream("COMMANDS")
    (plan,) = (plan for plan in make_streams(replicas=1) if plan.is_emptied_by_its_durable)
    await _make_keeping_all(jetstream, plan)
    await jetstream.publish("commands.default.deployment.submit", b"{}")
    await provision(log_client)
    info = await jetstream.stream_info("COMMANDS")
    assert (info.config.retention, info.state.messages) == ("interest", 1)


async def test_again_changes_nothing_and_keeps_the_events(log_client: Client):
    log = JetStreamLog(log_client, source="specstream/test")
    draft = Draft(Aggregate("p", "name", "a"), NameClaimed(parent="p", name="n", owner_id="o"))
    await log.append([draft], heads={}, cause=Cause("key:default", "c1"))
    before = await configs(log_client)
    await provision(log_client)
    assert await configs(log_client) == before
    assert await log.last_sequence() == 1


async def test_the_log_of_an_earlier_version_gets_an_identity_and_keeps_it(log_client: Client):
    jetstream = log_client.jetstream()
    made = JetStreamLog(log_client, source="specstream/test")
    first = await made.identity()
    present = (await jetstream.stream_info("EVENTS")).config
    await jetstream.update_stream(dataclasses.replace(present, metadata={"of": "somebody"}))
    await provision(log_client)
    given = await JetStreamLog(log_client, source="specstream/test").identity()
    assert given not in ("", first)
    await provision(log_client)
    assert await JetStreamLog(log_client, source="specstream/test").identity() == given
    assert (await jetstream.stream_info("EVENTS")).config.metadata["of"] == "somebody"


async def test_puts_harmless_drift_right(log_client: Client):
    jetstream = log_client.jetstream()
    present = (await jetstream.stream_info("EVENTS")).config
    await jetstream.update_stream(
        dataclasses.replace(present, duplicate_window=120.0, allow_direct=False, republish=None)
    )
    durable = (await jetstream.consumer_info("EVENTS", "reconciler")).config
    await jetstream.add_consumer("EVENTS", dataclasses.replace(durable, max_deliver=3))

    await provision(log_client)

    events = (await configs(log_client))["EVENTS"]
    assert (events.duplicate_window, events.allow_direct) == (600.0, True)
    assert events.republish == api.RePublish(src="events.>", dest="events.>")
    assert (await jetstream.consumer_info("EVENTS", "reconciler")).config.max_deliver == 20


async def test_commands_that_several_were_given_out_of_at_once_go_on_in_their_order(log_client: Client):
    """As the stream and its durable were once made, in the middle of work."""
    jetstream = log_client.jetstream()
    wanted = await configs(log_client)
    durable = (await jetstream.consumer_info("COMMANDS", "api-commands")).config
    await jetstream.add_consumer(
        "COMMANDS", dataclasses.replace(durable, ack_wait=10.0, max_deliver=20, max_ack_pending=1000)
    )
    stream = dataclasses.replace(wanted["COMMANDS"], subjects=["commands.*.deployment.submit"])
    await jetstream.update_stream(stream)
    await jetstream.delete_stream("OUTCOMES")
    for number in range(5):
        await jetstream.publish("commands.default.deployment.submit", str(number).encode())
    at_work = await jetstream.pull_subscribe_bind(durable="api-commands", stream="COMMANDS")
    given = [(await at_work.fetch(1, timeout=PATIENCE_S))[0] for _ in range(3)]
    await given[1].ack_sync(timeout=PATIENCE_S)

    await provision(log_client)

    assert await configs(log_client) == wanted
    order = []
    while len(order) < 4:
        try:
            [message] = await at_work.fetch(1, timeout=PATIENCE_S)
        except TimeoutError:
            continue
        order.append(message.data)
        await message.ack_sync(timeout=PATIENCE_S)
    assert order == [b"0", b"2", b"3", b"4"]


async def test_one_command_at_a_time_also_when_it_is_to_be_delivered_again(log_client: Client):
    jetstream = log_client.jetstream()
    durable = (await jetstream.consumer_info("COMMANDS", "api-commands")).config
    # Longer than the test takes: it is to be delivered again only where that is asked for.
    await jetstream.add_consumer("COMMANDS", dataclasses.replace(durable, ack_wait=PATIENCE_S))
    for number in range(3):
        await jetstream.publish("commands.default.deployment.submit", str(number).encode())
    at_work = await jetstream.pull_subscribe_bind(durable="api-commands", stream="COMMANDS")
    [first] = await at_work.fetch(1, timeout=PATIENCE_S)
    with pytest.raises(TimeoutError):
        await at_work.fetch(1, timeout=0.3)
    await first.nak(delay=0.5)
    [again] = await at_work.fetch(1, timeout=PATIENCE_S)
    assert (again.data, again.metadata.num_delivered) == (b"0", 2)
    await again.term()
    [second] = await at_work.fetch(1, timeout=PATIENCE_S)
    assert second.data == b"1"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param({"max_age": 3600.0}, "max_age", id="events that expire"),
        pytest.param({"max_msgs": 10}, "max_msgs", id="a limit of events"),
        pytest.param({"allow_msg_ttl": True}, "allow_msg_ttl", id="events that may delete themselves"),
        pytest.param({"subjects": ["append.>"]}, "subjects", id="other subjects"),
        pytest.param({"subject_transform": None}, "subject_transform", id="events under no event's subject"),
        pytest.param(
            {"subject_transform": api.SubjectTransform("append.>", "lost.>")},
            "subject_transform",
            id="events under other subjects",
        ),
        pytest.param(
            {"subjects": ["events.>"], "subject_transform": None, "republish": None},
            "subjects",
            id="subjects of no version",
        ),
    ],
)
async def test_refuses_drift_that_may_have_cost_events(log_client: Client, change: dict, named: str):
    jetstream = log_client.jetstream()
    present = (await jetstream.stream_info("EVENTS")).config
    await jetstream.update_stream(dataclasses.replace(present, **change))
    with pytest.raises(CannotProvision, match=rf"stream EVENTS exists .*{named}"):
        await provision(log_client)


async def test_a_log_that_took_events_under_their_own_subjects_goes_on(log_client: Client):
    """As streams were once made: every append was heard by plain subscribers, also when it was refused."""
    jetstream = log_client.jetstream()
    present = (await jetstream.stream_info("EVENTS")).config
    earlier = {"subjects": ["events.*.*.*.*"], "subject_transform": None, "republish": None}
    await jetstream.update_stream(dataclasses.replace(present, **earlier))
    await jetstream.publish("events.default.name.a.NameClaimed", b"{}")

    await provision(log_client)

    now = (await configs(log_client))["EVENTS"]
    assert dataclasses.replace(now, metadata=present.metadata) == present
    log = JetStreamLog(log_client, source="specstream/test")
    with pytest.raises(AppendConflict):
        await log.append([claim(name("a"))], heads={}, cause=CAUSE)
    await log.append([claim(name("a"))], heads={name("a"): Head(1)}, cause=CAUSE)
    assert [event.subject async for event in log.read_raw()] == ["events.default.name.a.NameClaimed"] * 2


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param("commands.default.deployment.update", id="another verb"),
        pytest.param("commands.default.project.delete", id="another kind"),
        pytest.param("commands.default.deployment.submit.now", id="a longer subject"),
    ],
)
async def test_a_command_that_nobody_answers_is_not_taken(log_client: Client, subject: str):
    with pytest.raises(NoStreamResponseError):
        await log_client.jetstream().publish(subject, b"{}")


async def test_says_why_the_server_refuses(log_client: Client):
    jetstream = log_client.jetstream()
    await jetstream.delete_stream("COMMANDS")
    await jetstream.add_stream(name="OTHER", subjects=["commands.x.rejected"])
    with pytest.raises(CannotProvision, match=r"stream COMMANDS: .*overlap"):
        await provision(log_client)


async def test_a_service_that_declares_no_stream_overwrites_none(
    nats_endpoint: NatsEndpoint, log_client: Client
):
    """FastStream resets a stream's configuration to its own defaults unless it is told not to declare it."""
    before = await configs(log_client)
    broker = NatsBroker(nats_endpoint.url)

    @broker.subscriber(
        "events.*.deployment.*.*",
        stream=JStream("EVENTS", declare=False),
        durable="reconciler",
        pull_sub=True,
    )
    async def on_change(body: object) -> None:
        """Never called: the log is empty."""

    async with broker:
        await broker.start()
    assert await configs(log_client) == before


async def test_runs_as_a_program(nats_endpoint: NatsEndpoint, log_client: Client):
    await log_client.jetstream().delete_stream("SIGNALS")
    program = await create_subprocess_exec(
        sys.executable,
        "-m",
        "libs.common.log",
        env={"SPECSTREAM_NATS_URL": nats_endpoint.url},
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await program.communicate()
    assert (program.returncode, output, errors) == (0, b"", b"")
    assert "SIGNALS" in await configs(log_client)


def test_every_stream_has_its_own_subjects():
    subjects = [subject for stream in make_streams(replicas=1) for subject in stream.wanted.subjects]
    assert len(subjects) == len(set(subjects))
