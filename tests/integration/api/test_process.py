"""The api as a process of its own: streams of events, commands of other systems, a broker that goes away."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse
from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.common.ids import new_id
from tests.support.api_process import ApiProcess, api_process
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import NatsEndpoint, connected, make_fresh
from tests.support.polling import PATIENCE_S, eventually
from tests.support.rest import a_config

SUBMIT = "commands.default.deployment.submit"
DELETE = "commands.default.deployment.delete"


@pytest.fixture
async def process(
    tmp_path: Path,
    nats_endpoint: NatsEndpoint,
    log_client: Client,  # noqa: ARG001 - makes the streams fresh
) -> AsyncIterator[ApiProcess]:
    async with api_process(tmp_path, nats_endpoint.url) as running:
        yield running


@pytest.fixture
async def http(process: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with process.client() as client:
        yield client


async def submit(http: httpx.AsyncClient, **resources: Any) -> str:
    body = {"config": a_config(**resources), "projectId": "default"}
    answer = await http.post("/v1/deployments", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["deploymentId"]


async def events(http: httpx.AsyncClient, count: int, **how: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with (
        asyncio.timeout(PATIENCE_S),
        aconnect_sse(http, "GET", "/v1/events", **how) as source,
        aclosing(source.aiter_sse()) as messages,
    ):
        async for message in messages:
            event = message.json()
            assert (message.id, message.event) == (str(event["sequence"]), event["type"])
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError("the stream ended")


async def test_a_stream_of_events_resumes_without_gap_or_repeat(http: httpx.AsyncClient):
    await submit(http)
    streaming = asyncio.ensure_future(events(http, 6, params={"after": 0}))
    for replicas in (2, 3, 4):
        await submit(http, replicas=replicas)
    assert [event["sequence"] for event in await streaming] == [1, 2, 3, 4, 5, 6]
    resumed = await events(http, 2, params={"after": 1}, headers={"last-event-id": "4"})
    assert [event["sequence"] for event in resumed] == [5, 6]
    only = await events(http, 4, params={"type": "SpecRegistered"})
    assert [event["sequence"] for event in only] == [3, 4, 5, 6]
    bad = {"accept": "text/event-stream", "last-event-id": "x"}
    assert (await http.get("/v1/events", headers=bad)).status_code == 400


async def test_a_stream_of_events_takes_no_limit(http: httpx.AsyncClient):
    answer = await http.get("/v1/events", params={"limit": 5}, headers={"accept": "Text/Event-Stream"})
    assert answer.status_code == 400
    assert answer.json()["issues"][0] == {
        "path": ["limit"],
        "message": "is of a page, and a stream never ends",
        "value": 5,
        "allowed": "no limit, or no stream",
    }


class Rejections:
    """What other systems hear of refused commands."""

    def __init__(self) -> None:
        self.messages: list[Msg] = []

    async def on_message(self, message: Msg) -> None:
        self.messages.append(message)

    async def of(self, command_id: str | None) -> dict[str, Any]:
        def find() -> dict[str, Any] | None:
            bodies = [json.loads(message.data) for message in self.messages]
            return next((b for b in bodies if b["commandId"] == command_id), None)

        found = await eventually(find, because=f"no rejection of {command_id}")
        assert isinstance(found, dict)
        return found


@pytest.fixture
async def rejections(log_client: Client) -> Rejections:
    heard = Rejections()
    await log_client.subscribe("commands.*.rejected", cb=heard.on_message)
    await log_client.flush()
    return heard


async def command(client: Client, subject: str, data: Any, **attributes: str) -> str:
    """Binary mode."""
    event = {"id": new_id(), "source": "/ci/7", "type": "submit", "specversion": "1.0"} | attributes
    headers = {f"ce-{name}": value for name, value in event.items()}
    await client.jetstream().publish(subject, json.dumps(data).encode(), headers=headers)
    return event["id"]


async def caused_by(http: httpx.AsyncClient, command_id: str, count: int) -> list[dict[str, Any]]:
    async def find() -> list[dict[str, Any]]:
        items = (await http.get("/v1/events")).json()["items"]
        found = [item for item in items if item["causationId"] == command_id]
        return found if len(found) >= count else []

    found = await eventually(find, because=f"no {count} events of {command_id}")
    assert isinstance(found, list)
    return found


async def test_commands_in_both_modes_lead_to_events_that_name_them(
    http: httpx.AsyncClient, log_client: Client, rejections: Rejections
):
    first = await command(log_client, SUBMIT, {"config": a_config()})
    made = await caused_by(http, first, 3)
    assert [event["type"] for event in made] == ["NameClaimed", "DeploymentCreated", "SpecRegistered"]
    assert {(event["actor"], event["causationSource"]) for event in made} == {("command:commands", "/ci/7")}
    deployment_id = made[0]["data"]["owner_id"]

    envelope = {"specversion": "1.0", "id": "structured-1", "source": "/ci/8", "type": "submit"}
    data = {"config": a_config(replicas=2), "deploymentId": deployment_id}
    await log_client.jetstream().publish(
        SUBMIT,
        json.dumps(envelope | {"data": data}).encode(),
        headers={"content-type": "application/cloudevents+json"},
    )
    assert [e["type"] for e in await caused_by(http, "structured-1", 1)] == ["SpecRegistered"]

    deletion = await command(log_client, DELETE, {"deploymentId": deployment_id})
    gone = await caused_by(http, deletion, 2)
    assert [event["type"] for event in gone] == ["DeploymentDeleted", "NameReleased"]

    async def is_gone() -> bool:
        """A broker that stands still for longer than a read waits for it keeps what is known shown."""
        return (await http.get(f"/v1/deployments/{deployment_id}")).status_code == 404

    await eventually(is_gone)
    assert rejections.messages == []


async def test_a_command_with_a_known_id_does_nothing(
    http: httpx.AsyncClient, log_client: Client, rejections: Rejections
):
    one = await command(log_client, SUBMIT, {"config": a_config()})
    made = await caused_by(http, one, 3)
    await submit(http, replicas=5)
    await command(log_client, SUBMIT, {"config": a_config()}, id=one)
    deletion = await command(log_client, DELETE, {"deploymentId": made[0]["data"]["owner_id"]})
    await caused_by(http, deletion, 2)
    await command(log_client, DELETE, {"deploymentId": made[0]["data"]["owner_id"]}, id=deletion)
    await command(log_client, SUBMIT, {"config": a_config()}, id=one)
    marker = await command(log_client, SUBMIT, {"config": {}})
    await rejections.of(marker)
    assert len(rejections.messages) == 1
    assert len((await http.get("/v1/events")).json()["items"]) == 6


async def test_a_refused_command_is_answered_with_the_issues_of_rest(
    http: httpx.AsyncClient, log_client: Client, rejections: Rejections
):
    config = a_config(replicas=-1) | {"imgae": "x"}
    wrong = await command(log_client, SUBMIT, {"config": config})
    rejected = await rejections.of(wrong)
    assert set(rejected) == {"commandId", "commandSource", "code", "message", "issues"}
    answer = await http.post("/v1/deployments", json={"config": config, "projectId": "default"})
    assert rejected["issues"] == answer.json()["issues"]
    assert rejected["code"] == answer.json()["code"] == "BAD_REQUEST"
    headers = rejections.messages[0].headers or {}
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-id"]
    assert headers["ce-source"] == "specstream/api"

    unknown = await command(log_client, DELETE, {"deploymentId": "0" * 32})
    assert (await rejections.of(unknown))["code"] == "NOT_FOUND"
    elsewhere = "commands.nowhere.deployment.submit"
    lost = await command(log_client, elsewhere, {"config": a_config()})
    assert (await rejections.of(lost))["issues"][0]["path"] == ["projectId"]
    large = await command(log_client, SUBMIT, {"config": a_config(), "rest": "x" * 256 * 1024})
    assert (await rejections.of(large))["code"] == "PAYLOAD_TOO_LARGE"
    await log_client.jetstream().publish(SUBMIT, b"not an event")
    assert (await rejections.of(None))["code"] == "PARSE_ERROR"


async def test_commands_are_carried_out_in_their_order(http: httpx.AsyncClient, log_client: Client):
    ids = [await command(log_client, SUBMIT, {"config": a_config(replicas=n)}) for n in range(1, 15)]
    await caused_by(http, ids[-1], 1)
    items = (await http.get("/v1/events", params={"type": "SpecRegistered"})).json()["items"]
    assert [item["causationId"] for item in items] == ids


async def test_a_broker_that_goes_away_and_comes_back_loses_nothing(tmp_path: Path):
    broker = NatsProcess(tmp_path / "nats")
    broker.start()
    try:
        async with connected(broker.url) as client:
            await make_fresh(client)
        async with api_process(tmp_path / "home", broker.url) as process, process.client() as http:
            deployment_id = await submit(http)
            streaming = asyncio.ensure_future(events(http, 4))
            broker.kill()

            async def the_log_is_named() -> bool:
                return "log" in (await http.get("/v1/health")).json()["details"]["notReady"]

            await eventually(the_log_is_named)
            # Not before: it waits for the broker only as long as an outcome may stay unknown.
            waiting = asyncio.ensure_future(submit(http, replicas=2))
            assert (await http.get(f"/v1/deployments/{deployment_id}")).status_code == 200
            await asyncio.to_thread(broker.start)
            assert await waiting == deployment_id
            assert [event["sequence"] for event in await streaming] == [1, 2, 3, 4]
            deployment = (await http.get(f"/v1/deployments/{deployment_id}")).json()
            assert deployment["latestSpec"]["data"]["resources"]["replicas"] == 2
    finally:
        broker.stop()


async def test_killed_and_started_again_it_shows_what_it_acknowledged(
    tmp_path: Path,
    nats_endpoint: NatsEndpoint,
    log_client: Client,  # noqa: ARG001 - makes the streams fresh
):
    async with api_process(tmp_path, nats_endpoint.url) as process, process.client() as http:
        deployment_id = await submit(http)
        process.process.send_signal(signal.SIGKILL)
    async with api_process(tmp_path, nats_endpoint.url) as process, process.client() as http:
        assert (await http.get(f"/v1/deployments/{deployment_id}")).status_code == 200
        assert (await http.get("/v1/log/verify")).json() == {"ok": True, "events": 3, "aggregates": 2}
