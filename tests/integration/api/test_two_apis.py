"""Two apis on one log: each shows what the other wrote, and together they do everything once."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from nats.aio.client import Client

from libs.common.log.jetstream import JetStreamLog
from tests.support.api_process import ApiProcess, api_process
from tests.support.event_logs import registered
from tests.support.killing import SEED_VARIABLE, choose_seed
from tests.support.nats_server import NatsEndpoint
from tests.support.polling import PATIENCE_S, eventually
from tests.support.requester import Requester
from tests.support.rest import a_config

CREATED = "events.*.deployment.*.DeploymentCreated"

Both = tuple[ApiProcess, ApiProcess]


@pytest.fixture
async def both(
    tmp_path: Path,
    nats_endpoint: NatsEndpoint,
    log_client: Client,  # noqa: ARG001 - makes the streams fresh
) -> AsyncIterator[Both]:
    url = nats_endpoint.url
    async with api_process(tmp_path / "one", url) as one, api_process(tmp_path / "two", url) as two:
        yield one, two


def a_submission(name: str, replicas: int = 1) -> dict[str, object]:
    return {"config": a_config(name, replicas=replicas), "projectId": "default"}


async def is_sound(http: httpx.AsyncClient) -> bool:
    """The log is, and the read models of this api are what a replay of it gives."""
    return (await http.get("/v1/log/verify")).json()["ok"]


async def test_each_shows_what_the_other_wrote_and_a_name_is_given_once(
    both: Both, jetstream_log: JetStreamLog
):
    async with both[0].client() as one, both[1].client() as two:
        names = [f"n{number}" for number in range(10)]
        asked = [http.post("/v1/deployments", json=a_submission(n)) for n in names for http in (one, two)]
        answers = await asyncio.gather(*asked)
        assert {answer.status_code for answer in answers} == {200}
        made = {answer.json()["deploymentId"] for answer in answers}
        created = [event.aggregate.id async for event in jetstream_log.read(CREATED)]
        assert (len(made), sorted(created)) == (len(names), sorted(made))

        for http in (one, two):

            async def shows_all(http: httpx.AsyncClient = http) -> bool:
                items = (await http.get("/v1/deployments", params={"limit": 100})).json()["items"]
                return {item["id"] for item in items} == made

            await eventually(shows_all, because="one api does not show what the other wrote")
            assert await is_sound(http)


async def test_both_change_one_deployment_and_no_change_is_lost(both: Both, log_client: Client):
    async with both[0].client() as one, both[1].client() as two:

        async def change(http: httpx.AsyncClient, replicas: int) -> None:
            answer = await http.post("/v1/deployments", json=a_submission("demo", replicas))
            assert answer.status_code == 200, answer.text

        wanted = range(1, 21)
        await asyncio.gather(*(change((one, two)[number % 2], number) for number in wanted))
    assert sorted(replicas for _, replicas in await registered(log_client)) == list(wanted)


async def test_commands_have_one_effect_each_though_one_of_the_two_is_killed(both: Both, log_client: Client):
    seed = choose_seed()
    print(f"{SEED_VARIABLE}={seed}")
    requester = await Requester(log_client).listen()
    wanted = [(f"c{number}", number % 90 + 1) for number in range(100)]
    for command_id, replicas in wanted:
        await requester.publish("submit", {"config": a_config(replicas=replicas)}, command_id=command_id)

    some = random.Random(seed).randrange(5, 60)

    async def some_are_done() -> bool:
        return len(await registered(log_client)) >= some

    await eventually(some_are_done)
    both[0].process.kill()
    await requester.answer(wanted[-1][0], within_s=3 * PATIENCE_S)
    assert await registered(log_client) == wanted
    async with both[1].client() as http:
        assert await is_sound(http)
