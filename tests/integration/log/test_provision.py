"""Provisioning against a real server: it makes, leaves alone, puts right, or refuses."""

import dataclasses
import sys
from asyncio import create_subprocess_exec
from subprocess import PIPE

import pytest
from faststream.nats import JStream, NatsBroker
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import NoStreamResponseError

from libs.common.errors import AppendConflict
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.events.name import NameClaimed
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import Head
from libs.common.log.provision import CannotProvision, make_durables, make_streams, provision
from tests.support.names import CAUSE, claim, name
from tests.support.nats_server import NatsEndpoint


async def configs(client: Client) -> dict[str, api.StreamConfig]:
    return {info.config.name: info.config for info in await client.jetstream().streams_info()}


async def test_makes_every_stream_and_durable(log_client: Client):
    assert set(await configs(log_client)) == {"EVENTS", "COMMANDS", "SIGNALS", "PARKED", "PROBES"}
    for durable in make_durables():
        info = await log_client.jetstream().consumer_info(durable.stream, durable.wanted.durable_name)
        assert info.config.ack_wait == 10
        assert info.config.max_deliver == 20


async def test_the_log_keeps_everything_for_ever(log_client: Client):
    events = (await configs(log_client))["EVENTS"]
    assert (events.deny_delete, events.deny_purge, events.allow_rollup_hdrs) == (True, True, False)
    assert events.allow_msg_ttl is not True
    assert (events.discard, events.storage, events.max_age) == ("new", "file", 0)


async def test_again_changes_nothing_and_keeps_the_events(log_client: Client):
    log = JetStreamLog(log_client, source="specstream/test")
    draft = Draft(Aggregate("p", "name", "a"), NameClaimed(parent="p", name="n", owner_id="o"))
    await log.append([draft], heads={}, cause=Cause("key:default", "c1"))
    before = await configs(log_client)
    await provision(log_client)
    assert await configs(log_client) == before
    assert await log.last_sequence() == 1


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
        "libs.common.log.provision",
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
