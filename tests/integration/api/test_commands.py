"""Commands of other systems, carried out by an api that may be killed at any moment (promise 12)."""

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.common.bus import subjects
from libs.common.bus.heartbeat import Heartbeat
from tests.support.api_process import ApiProcess, api_process
from tests.support.dying_service import order_of
from tests.support.event_logs import registered
from tests.support.killing import SEED_VARIABLE, choose_seed
from tests.support.nats_server import NatsEndpoint, provisioned
from tests.support.polling import PATIENCE_S, eventually, let_time_pass
from tests.support.requester import Requester
from tests.support.rest import a_config


def a_submission(replicas: int = 1, name: str = "demo") -> dict[str, Any]:
    return {"config": a_config(name, replicas=replicas)}


class Apis:
    """One api after the other in one home, each as told to die somewhere or not."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self._url = home, url
        self._stack = AsyncExitStack()
        self.now: ApiProcess | None = None

    async def start(self, *, dies: str = "") -> ApiProcess:
        """dies: the point, as `dying_service` knows it."""
        order = order_of(self.home, "api")
        order.parent.mkdir(parents=True, exist_ok=True)
        if dies:
            order.write_text(dies)
        self.now = await self._stack.enter_async_context(
            api_process(self.home, self._url, module="tests.support.dying_service")
        )
        return self.now

    async def died(self) -> None:
        """Until the order is carried out."""
        assert self.now is not None
        process = self.now.process
        await eventually(lambda: process.poll() is not None, because="it did not die")
        assert process.returncode == -signal.SIGKILL
        assert not order_of(self.home, "api").exists()

    async def kill(self) -> None:
        assert self.now is not None
        self.now.process.kill()
        await asyncio.to_thread(self.now.process.wait)

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def apis(
    tmp_path: Path,
    nats_endpoint: NatsEndpoint,
    log_client: Client,  # noqa: ARG001 - makes the streams fresh
) -> AsyncIterator[Apis]:
    running = Apis(tmp_path, nats_endpoint.url)
    yield running
    await running.close()


@pytest.fixture
async def requester(log_client: Client) -> Requester:
    return await Requester(log_client).listen()


async def test_the_actor_is_who_publishes_and_the_source_stands_apart(apis: Apis, requester: Requester):
    process = await apis.start()
    # Beyond ASCII, and what another actor is called.
    for source in ("key:default", "/grüße"):
        _, done = await requester.ask("submit", a_submission(len(source)), source=source)
    async with process.client() as http:
        items = (await http.get("/v1/events")).json()["items"]
        assert {(item["actor"], item["causationSource"]) for item in items} == {
            ("command:commands", "key:default"),
            ("command:commands", "/grüße"),
        }
        history = await http.get(f"/v1/deployments/{done['deploymentId']}/history")
        shown = [(one["userId"], one["commandSource"]) for one in history.json()["items"]]
        assert shown == [("command:commands", "/grüße"), ("command:commands", "key:default")]
        activity = (await http.get("/v1/projects/default/activity")).json()["items"]
        assert {(one["actor"]["fullName"], one["commandSource"]) for one in activity} == set(shown)
        await http.post("/v1/deployments", json={**a_submission(3, "by-rest"), "projectId": "default"})
        newest = (await http.get("/v1/projects/default/activity")).json()["items"][0]
        assert (newest["actor"]["fullName"], newest["commandSource"]) == ("key:default", None)


async def test_a_header_that_the_broker_uses_for_itself_holds_no_command_up(apis: Apis, requester: Requester):
    """The client takes what has it for no message, and the broker would give it out again for ever."""
    await apis.start()
    for number, status in enumerate(["100", "404", "408", "409", "503", "x"]):
        kind, _ = await requester.ask(
            "submit", a_submission(2 * number + 1), headers={"Status": status, "Description": "Idle"}
        )
        assert kind == "done", status
        kind, _ = await requester.ask("submit", a_submission(2 * number + 2))
        assert kind == "done", status


async def test_two_sources_may_use_the_same_id(apis: Apis, requester: Requester, log_client: Client):
    await apis.start()
    await requester.ask("submit", a_submission(1), command_id="42", source="/a")
    await requester.ask("submit", a_submission(2), command_id="42", source="/b")
    assert await registered(log_client) == [("42", 1), ("42", 2)]


async def test_the_broker_itself_drops_neither_another_source_nor_a_repeat(
    apis: Apis, requester: Requester, log_client: Client
):
    """Though they give all their messages the same `Nats-Msg-Id`."""
    await apis.start()

    async def is_taken(source: str) -> bool:
        attributes = {"specversion": "1.0", "id": "42", "source": source, "type": "x"}
        ack = await log_client.jetstream().publish(
            "commands.default.deployment.submit",
            json.dumps(a_submission(len(source))).encode(),
            headers={"Nats-Msg-Id": "42", **{f"ce-{name}": value for name, value in attributes.items()}},
        )
        return not ack.duplicate

    for number, source in enumerate(["/a", "/bc", "/bc"]):
        await eventually(lambda source=source: is_taken(source))
        await requester.answer("42", source=source, number=max(number, 1))
    assert await registered(log_client) == [("42", 2), ("42", 3)]


@pytest.mark.parametrize("first", ["changed", "no change", "refused"])
async def test_a_repeat_after_another_command_changes_nothing_and_gets_the_first_answer(
    apis: Apis, requester: Requester, log_client: Client, first: str
):
    """Also when another api is asked."""
    await apis.start()
    await requester.ask("submit", a_submission(9))
    verb, data = {
        "changed": ("submit", a_submission(1)),
        "no change": ("submit", a_submission(9)),
        "refused": ("delete", {"deploymentId": "0" * 32}),
    }[first]
    answer = await requester.ask(verb, data, command_id="A")
    await requester.ask("submit", a_submission(2), command_id="B")
    before = await registered(log_client)
    assert before[-1] == ("B", 2)
    assert await requester.ask(verb, data, command_id="A") == answer
    await apis.kill()
    await apis.start()
    assert await requester.ask(verb, data, command_id="A") == answer
    assert await registered(log_client) == before

    async def nothing_waits() -> bool:
        info = await log_client.jetstream().stream_info(subjects.COMMANDS_STREAM, subjects_filter=">")
        return not info.state.subjects

    # What waits to be handled fills the stream, and nothing else: an answer passes through it. A command is
    # acknowledged a moment after its answer.
    await eventually(nothing_waits)


async def test_what_was_refused_stays_refused_when_its_reason_is_gone(
    apis: Apis, requester: Requester, log_client: Client
):
    await apis.start()
    _, made = await requester.ask("submit", a_submission(1, "one"))
    _, other = await requester.ask("submit", a_submission(1, "other"))
    rename = {**a_submission(1, "one"), "deploymentId": other["deploymentId"]}
    kind, refused = await requester.ask("submit", rename, command_id="A")
    assert (kind, refused["code"]) == ("rejected", "CONFLICT")
    await requester.ask("delete", {"deploymentId": made["deploymentId"]})
    before = await registered(log_client)
    assert await requester.ask("submit", rename, command_id="A") == (kind, refused)
    assert await registered(log_client) == before


POINTS = [
    pytest.param("before begun", id="before it is noted as begun"),
    pytest.param("after begun", id="between the note and the effect"),
    pytest.param("before SpecRegistered", id="right before the effect"),
    pytest.param("after SpecRegistered", id="right after the effect"),
    pytest.param("before done", id="between the effect and the outcome"),
    pytest.param("after done", id="between the outcome and the answer"),
]


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_a_point_it_has_one_effect_and_one_answer(
    apis: Apis, requester: Requester, log_client: Client, point: str
):
    """REST changes the same deployment between the death and the redelivery: that is not reverted."""
    await apis.start(dies=point)
    command_id = await requester.publish("submit", a_submission(1))
    await apis.died()
    has_effect = bool(await registered(log_client))
    process = await apis.start()
    body = {**a_submission(2), "projectId": "default"}
    async with process.client() as http:
        assert (await http.post("/v1/deployments", json=body)).status_code == 200
    kind, answer = await requester.answer(command_id)
    assert kind == "done"
    specs = await registered(log_client)
    assert sorted(specs, key=str) == sorted([(command_id, 1), (None, 2)], key=str)
    if has_effect:
        assert specs == [(command_id, 1), (None, 2)]
    assert await requester.ask("submit", a_submission(1), command_id=command_id) == (kind, answer)
    assert await registered(log_client) == specs


@pytest.mark.parametrize("point", ["before refused", "after refused"])
async def test_killed_at_a_refusal_it_is_told(apis: Apis, requester: Requester, point: str):
    await apis.start(dies=point)
    command_id = await requester.publish("delete", {"deploymentId": "0" * 32})
    await apis.died()
    await apis.start()
    assert (await requester.answer(command_id))[1]["code"] == "NOT_FOUND"


async def test_a_command_that_always_fails_is_given_up_and_others_go_on(
    apis: Apis, requester: Requester, log_client: Client
):
    beats: list[Heartbeat] = []

    async def on_beat(message: Msg) -> None:
        beats.append(Heartbeat.model_validate_json(message.data))

    await log_client.subscribe("signals.heartbeat.api", cb=on_beat)
    await apis.start(dies="fails DeploymentCreated")
    command_id = await requester.publish("submit", a_submission(1, "new"))
    missing = await requester.publish("delete", {"deploymentId": "0" * 32})
    kind, answer = await requester.answer(command_id)
    assert (kind, answer["code"]) == ("rejected", "INTERNAL_SERVER_ERROR")
    assert (await requester.answer(missing))[1]["code"] == "NOT_FOUND"
    await eventually(lambda: beats and [one.subject for one in beats[-1].set_aside] == ["new"])
    assert "DeploymentCreated fails as ordered" in beats[-1].set_aside[0].reason

    async def is_parked() -> bool:
        info = await log_client.jetstream().stream_info(subjects.PARKED_STREAM)
        return info.state.messages == 1

    await eventually(is_parked)

    order_of(apis.home, "api").unlink()
    assert await requester.ask("submit", a_submission(1, "new"), command_id=command_id) == (kind, answer)
    assert await registered(log_client) == []
    await requester.ask("submit", a_submission(2, "new"))
    await eventually(lambda: beats[-1].set_aside == ())


async def test_a_command_that_waits_for_the_log_holds_no_stop_up_and_is_not_lost(
    apis: Apis, requester: Requester, log_client: Client
):
    jetstream = log_client.jetstream()
    await apis.start()
    await jetstream.delete_stream(subjects.EVENTS_STREAM)
    command_id = await requester.publish("submit", a_submission(1))

    async def is_at_work() -> bool:
        info = await jetstream.consumer_info(subjects.COMMANDS_STREAM, subjects.COMMANDS_DURABLE)
        return info.num_ack_pending == 1

    await eventually(is_at_work)
    # Ends with status 0, in time.
    await apis.close()
    await provisioned(log_client)
    await apis.start()
    assert (await requester.answer(command_id))[0] == "done"
    assert await registered(log_client) == [(command_id, 1)]


async def test_commands_take_effect_in_their_order_whatever_dies(
    apis: Apis, requester: Requester, log_client: Client
):
    seed = choose_seed()
    print(f"{SEED_VARIABLE}={seed}")
    rng = random.Random(seed)
    await apis.start()
    # Neighbours differ, so that each is a change.
    wanted = [(f"c{n}", n % 90 + 1) for n in range(400)]
    publishing = asyncio.ensure_future(_publish_all(requester, wanted))
    for _ in range(5):
        known = len(await registered(log_client))
        some = min(known + rng.randrange(10, 70), len(wanted))

        async def has_gone_on(some: int = some) -> bool:
            return len(await registered(log_client)) >= some

        await eventually(has_gone_on, every_s=0.05)
        await let_time_pass(rng.uniform(0, 0.05))
        await apis.kill()
        await apis.start()
    await publishing
    await requester.answer(wanted[-1][0], within_s=3 * PATIENCE_S)
    assert await registered(log_client) == wanted


async def _publish_all(requester: Requester, wanted: list[tuple[str, int]]) -> None:
    for command_id, replicas in wanted:
        await requester.publish("submit", a_submission(replicas), command_id=command_id)
