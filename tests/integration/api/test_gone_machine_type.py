"""A machine type that the operator took away, asked about over REST and in a command."""

from dataclasses import replace
from typing import Any

import pytest

from libs.common.cluster.abilities import LOCAL
from libs.common.cluster.offer import Offer
from services.api.commands.carry_out import Commands
from services.api.edge import bodies
from tests.support.rest import RunningApi, a_config


async def take_away(api: RunningApi, name: str) -> list[str]:
    """What is left."""
    types = {known: one for known, one in api.api.machine_types.items() if known != name}
    commands = Commands.over(api.api.log, api.api.projector, Offer(types, LOCAL))
    api.api = api.rest.state.api = replace(api.api, machine_types=types, commands=commands)
    return list(types)


def stopped(how: str) -> dict[str, Any]:
    config = a_config(replicas=0 if how == "replicas" else 2)
    return {**config, "enabled": False} if how == "enabled" else config


@pytest.mark.parametrize("how", ["enabled", "replicas"])
async def test_a_deployment_of_it_can_be_switched_off_and_not_on_again(api: RunningApi, how: str):
    deployment_id = await api.submit(a_config(replicas=2))
    first = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]["id"]
    left = await take_away(api, "C4")
    assert await api.submit(stopped(how)) == deployment_id
    off = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    assert off["data"]["resources"]["machineType"] == "C4"

    body = {"config": a_config(replicas=3), "projectId": "default"}
    answer = await api.http.post("/v1/deployments", json=body)
    path = ["config", "resources", "machineType"]
    issue = {"path": path, "message": "is not a machine type", "value": "C4", "allowed": left}
    assert (answer.status_code, answer.json()["issues"]) == (400, [issue])
    rollback = f"/v1/deployments/{deployment_id}/rollback"
    answer = await api.http.post(rollback, json={"specId": first})
    path = ["specId", "resources", "machineType"]
    assert (answer.status_code, answer.json()["issues"]) == (400, [{**issue, "path": path}])
    assert (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]["id"] == off["id"]


async def test_a_spec_that_is_off_can_be_rolled_back_to(api: RunningApi):
    deployment_id = await api.submit(stopped("enabled"))
    off = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]["id"]
    await api.submit(a_config(replicas=2))
    await take_away(api, "C4")
    answer = await api.http.post(f"/v1/deployments/{deployment_id}/rollback", json={"specId": off})
    assert answer.status_code == 200, answer.text
    latest = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    assert (latest["data"]["enabled"], latest["data"]["resources"]["machineType"]) == (False, "C4")


@pytest.mark.parametrize("how", ["enabled", "replicas"])
def test_a_command_may_switch_it_off(how: str):
    submission = bodies.parse_submit_command({"config": stopped(how)}, ("small",))
    assert submission.spec.resources.machine_type == "C4"
