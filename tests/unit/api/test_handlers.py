"""The edge of the broker: what of a message reaches the rules, and what is published of it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from faststream.nats import JStream, NatsBroker, NatsMessage, TestNatsBroker
from structlog.testing import capture_logs

from libs.common.bus import subjects
from libs.common.bus.broker import make_broker
from libs.common.bus.heartbeat import Heartbeat, HeartbeatPublisher
from libs.common.bus.settings import ServiceSettings
from libs.common.clock import utc_now
from libs.common.machine_types.reading import bundled
from services.api.edge.answers import Done
from services.api.edge.command_handler import CommandHandler
from services.api.handlers import make_publish, subscribe
from tests.support.played_broker import record_what_is_told, stored
from tests.unit.api.test_command_handler import Stage, a_submission

SUBMIT = "commands.default.deployment.submit"
DELETE = "commands.default.deployment.delete"
BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/ci", "ce-type": "x"}


@dataclass
class Edge:
    """An api at FastStream's test broker. heard: the answers. beats: the heartbeats that it took.
    appended: what it published to be stored as an event."""

    broker: NatsBroker
    stage: Stage = field(default_factory=Stage)
    appended: list[NatsMessage] = field(default_factory=list)
    heard: list[NatsMessage] = field(default_factory=list)
    beats: list[Heartbeat] = field(default_factory=list)
    sent: int = 0

    async def send(self, subject: str, body: bytes, headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
        """The answer: its subject and its body."""
        self.sent += 1
        place = stored(subjects.COMMANDS_STREAM, subjects.COMMANDS_DURABLE, sequence=self.sent)
        await self.broker.publish(body, subject, headers=headers, **place)
        raw = self.heard[-1].raw_message
        return raw.subject, json.loads(raw.data)


@pytest.fixture
def told(monkeypatch) -> list[Any]:
    return record_what_is_told(monkeypatch)


@pytest.fixture
async def edge(told) -> AsyncIterator[Edge]:
    broker = make_broker(ServiceSettings(), service="api")
    edge = Edge(broker)
    log, commands, outcomes = edge.stage.log, edge.stage.commands, edge.stage.outcomes
    handler = CommandHandler(log, commands, outcomes, make_publish(broker), utc_now)
    subscribe(broker, handler.on_command, edge.beats.append, service="api", machine_types=bundled())

    @broker.subscriber("commands.*.*", stream=JStream(subjects.COMMANDS_STREAM, declare=False))
    async def on_answer(message: NatsMessage) -> None:
        edge.heard.append(message)

    @broker.subscriber("append.>")
    async def on_event(message: NatsMessage) -> None:
        edge.appended.append(message)

    async with TestNatsBroker(broker):
        yield edge
    assert told == ["ack"] * (edge.sent + len(edge.heard))


async def test_a_command_in_either_mode_is_done_and_told_by_the_publisher_of_that(edge: Edge):
    subject, answer = await edge.send(SUBMIT, json.dumps(a_submission()).encode(), BINARY)
    assert subject == "commands.default.done"
    done = Done.model_validate(answer)
    assert (done.command_id, done.command_source) == ("1", "/ci")
    headers = edge.heard[-1].raw_message.headers
    assert (headers["ce-type"], headers["content-type"]) == ("specstream.command.done", "application/json")
    event = {"specversion": "1.0", "id": "2", "source": "/ci", "type": "specstream.deployment.delete"}
    event["data"] = {"deploymentId": done.deployment_id}
    structured = {"content-type": "application/cloudevents+json"}
    subject, answer = await edge.send(DELETE, json.dumps(event).encode(), structured)
    assert (subject, answer["deploymentId"]) == ("commands.default.done", done.deployment_id)


@pytest.mark.parametrize(
    ("body", "headers", "command_id", "path"),
    [
        pytest.param(b"\xff{", BINARY, "1", [], id="no JSON"),
        pytest.param(b"\xff{", BINARY | {"content-type": "application/json"}, "1", [], id="so called JSON"),
        pytest.param(b"{}", BINARY, "1", ["config"], id="no spec"),
        pytest.param(b'{"config": {}, "more": 1}', BINARY, "1", ["more"], id="a field that is none"),
        pytest.param(b"", {}, None, [], id="nothing"),
    ],
)
async def test_what_cannot_be_read_is_refused_by_name(edge: Edge, body, headers, command_id, path):
    subject, answer = await edge.send(SUBMIT, body, headers)
    assert (subject, answer["commandId"]) == ("commands.default.rejected", command_id)
    assert path in [issue["path"] for issue in answer["issues"]]


async def test_nothing_is_published_where_a_header_asks_for_it(edge: Edge):
    where = "append.default.deployment.d.DeploymentDeleted"
    await edge.send(SUBMIT, b"{}", BINARY | {"reply_to": where})
    beat = Heartbeat(service="health", pid=1, is_ready=True, applied_sequence=1, sent_at=utc_now())
    await edge.broker.publish(beat, subjects.heartbeat("health"), reply_to=where)
    assert edge.beats == [beat]
    assert edge.appended == []


async def test_what_failed_is_parked_after_it_is_answered(edge: Edge, told):
    edge.stage.log.before = [RuntimeError("a bug")] * 3
    subject, answer = await edge.send(SUBMIT, json.dumps(a_submission()).encode(), BINARY)
    assert (subject, answer["code"]) == ("commands.default.rejected", "INTERNAL_SERVER_ERROR")
    assert told == ["ack", "term"]
    told[-1] = "ack"


async def test_a_heartbeat_is_taken_as_it_was_published(edge: Edge):
    publisher = HeartbeatPublisher(edge.broker, service="router", pid=7, clock=utc_now)
    await publisher.publish(applied_sequence=3, is_ready=True, detail={"envoy_acknowledged": True})
    [beat] = edge.beats
    assert (beat.service, beat.pid, beat.applied_sequence) == ("router", 7, 3)
    assert beat.detail == {"envoy_acknowledged": True}


async def test_a_heartbeat_in_the_name_of_another_service_is_dropped_and_said(edge: Edge):
    beat = Heartbeat(service="health", pid=1, is_ready=True, applied_sequence=1, sent_at=utc_now())
    with capture_logs() as said:
        await edge.broker.publish(beat, subjects.heartbeat("router"))
    assert edge.beats == []
    assert [line["event"] for line in said] == ["signal dropped"]


@pytest.mark.parametrize("body", [b"\xff", b"{}", b'{"service": 5}', b""])
async def test_a_heartbeat_that_cannot_be_read_is_dropped_and_said(edge: Edge, body):
    with capture_logs() as said:
        await edge.broker.publish(body, subjects.heartbeat("health"))
    assert edge.beats == []
    assert [line["event"] for line in said] == ["signal dropped"]
