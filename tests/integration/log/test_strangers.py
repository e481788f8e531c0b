"""Messages that somebody got stored under the subject of an event, without being the one who appends it."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from nats.aio.client import Client
from nats.protocol.command import pub_cmd

from libs.common.clock import utc_now
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted
from libs.common.events.envelope import Aggregate, Draft, Recorded, append_subject
from libs.common.log.export import export, import_
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.memory import MemoryLog
from libs.common.log.port import CaughtUp
from libs.common.log.verify import Corrupt, verify
from tests.support.names import CAUSE
from tests.support.polling import PATIENCE_S

DEPLOYMENT = Aggregate("default", "deployment", "a" * 32)
OTHER = Aggregate("default", "deployment", "b" * 32)
ANSWER = b'{"type":"io.nats.jetstream.api.v1.consumer_create_response","stream_name":"EVENTS","name":"x"}'
"""As the broker itself sends it to whatever reply subject a request names."""

HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "e" * 32,
    "Nats-Msg-Id": "e" * 32,
    "ce-type": "DeploymentDeleted",
    "ce-subject": DEPLOYMENT.id,
    "ce-dataschema": "urn:specstream:event:DeploymentDeleted:v1",
    "ce-hash": "2:" + "0" * 64,
}


def without(*names: str, **other: str) -> dict[str, str]:
    replaced = {name.replace("_", "-"): value for name, value in other.items()}
    return {name: value for name, value in (HEADERS | replaced).items() if name not in names}


FORGED = [
    pytest.param({}, id="without headers"),
    pytest.param(without("ce-id"), id="without an id"),
    pytest.param(without("ce-hash"), id="without a hash"),
    pytest.param(without("ce-type"), id="without a type"),
    pytest.param(without(ce_type="DeploymentCreated"), id="of another type"),
    pytest.param(without(ce_subject="b" * 32), id="of another aggregate"),
    pytest.param(without("ce-dataschema"), id="without a schema"),
    pytest.param(
        without(ce_dataschema="urn:specstream:event:DeploymentCreated:v1"), id="with the schema of another"
    ),
    pytest.param(
        {"ce-batch": "2/x", "specstream-imported-time": "yesterday"}, id="with headers that cannot be read"
    ),
]


@pytest.fixture
async def log(jetstream_log: JetStreamLog) -> JetStreamLog:
    """It has one deployment."""
    await jetstream_log.append([Draft(DEPLOYMENT, DeploymentCreated(name="web"))], heads={}, cause=CAUSE)
    return jetstream_log


async def followed_by(log: JetStreamLog) -> list[Recorded]:
    """Everything that is stored, as who follows it is told."""
    followed: list[Recorded] = []
    async with aclosing(log.follow(">", after=0)) as events:
        async for event in events:
            if isinstance(event, CaughtUp):
                break
            assert isinstance(event, Recorded)
            followed.append(event)
    return followed


async def forge(client: Client, headers: dict[str, str]) -> None:
    subject = append_subject(DEPLOYMENT.subject("DeploymentDeleted"))
    stored = await client.request(subject, ANSWER, headers=headers, timeout=PATIENCE_S)
    assert json.loads(stored.data)["seq"] == 2


@pytest.mark.parametrize("place", ["*.DeploymentDeleted", f"{DEPLOYMENT.id}.>"])
async def test_what_the_broker_gives_no_subject_of_an_event_stops_no_reader(
    log: JetStreamLog, log_client: Client, place: str
):
    """A client says on its own whether its subjects are looked at."""
    inbox = log_client.new_inbox()
    answers = await log_client.subscribe(inbox)
    subject = append_subject(f"events.default.deployment.{place}")
    await log_client._send_command(pub_cmd(subject, inbox, ANSWER))
    await log_client._flush_pending()
    assert json.loads((await answers.next_msg(PATIENCE_S)).data)["seq"] == 2
    await log.append([Draft(OTHER, DeploymentCreated(name="other"))], heads={}, cause=CAUSE)
    read = [event async for event in log.read(">")]
    assert [event.fact is None for event in read] == [False, True, False]
    assert read[1].unknown == "its subject is not the subject of an event"
    assert [event.sequence for event in await followed_by(log)] == [1, 2, 3]
    result = await verify(log.read_raw())
    assert isinstance(result, Corrupt)
    assert result.sequence == 2
    assert "everything else holds" in result.reason


async def lines(log: JetStreamLog) -> AsyncIterator[bytes]:
    async for line in export(log):
        yield line


@pytest.mark.parametrize("headers", FORGED)
async def test_is_no_fact_for_any_reader(log: JetStreamLog, log_client: Client, headers: dict[str, str]):
    await forge(log_client, headers)
    loaded = (await log.load(DEPLOYMENT.filter)).events
    read = [event async for event in log.read(">")]
    for seen in (loaded, read, await followed_by(log)):
        assert [event.type for event in seen] == ["DeploymentCreated", "DeploymentDeleted"]
        assert [event.fact for event in seen] == [DeploymentCreated(name="web"), None]
        assert seen[0].unknown == ""
        assert "contradict" in seen[1].unknown
    assert await log.sequence_at(utc_now()) == 2


async def test_with_matching_headers_is_one(log: JetStreamLog, log_client: Client):
    """Who holds the credentials of the service that appends it can say it: the broker sees to that."""
    await forge(log_client, HEADERS)
    events = [event async for event in log.read(">")]
    assert events[1].fact == DeploymentDeleted(name="x")
    result = await verify(log.read_raw())
    assert isinstance(result, Corrupt)
    assert (result.sequence, "hash" in result.reason) == (2, True)


@pytest.mark.parametrize("headers", FORGED)
async def test_verify_names_it_and_everything_else_goes_on(
    log: JetStreamLog, log_client: Client, headers: dict[str, str]
):
    await forge(log_client, headers)
    heads = (await log.load(DEPLOYMENT.filter)).heads
    await log.append([Draft(DEPLOYMENT, DeploymentDeleted(name="web"))], heads=heads, cause=CAUSE)

    result = await verify(log.read_raw())
    assert isinstance(result, Corrupt)
    assert result.sequence == 2
    assert "contradict" in result.reason
    assert "everything else holds" in result.reason

    copy = MemoryLog()
    assert await import_(copy, lines(log)) == 3
    assert [line async for line in export(copy)] == [line async for line in lines(log)]
    assert [event.fact async for event in copy.read(">")] == [event.fact async for event in log.read(">")]
