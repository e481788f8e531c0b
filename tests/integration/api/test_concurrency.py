"""Many at once on a real broker: every aggregate keeps one linear history."""

import asyncio
from collections import defaultdict
from itertools import pairwise

from libs.common.log.verify import Verified, verify
from tests.support.rest import RunningApi, a_config


async def all_linear(api: RunningApi) -> None:
    """Chains prove it: two appends on one head would break the chain of their aggregate."""
    assert isinstance(await verify(api.api.archive.read_raw()), Verified)
    found = await api.get("/v1/log/verify")
    assert found["ok"], found


async def types_by_deployment(api: RunningApi) -> dict[str, list[str]]:
    types: dict[str, list[str]] = defaultdict(list)
    async for event in api.api.log.read("events.*.deployment.>"):
        types[event.aggregate.id].append(event.type)
    return types


async def test_fifty_first_submissions_of_one_name_make_one_deployment(durable_api: RunningApi):
    ids = await asyncio.gather(*(durable_api.submit(a_config(replicas=n)) for n in range(1, 51)))
    assert len(set(ids)) == 1
    types = await types_by_deployment(durable_api)
    assert types[ids[0]] == ["DeploymentCreated", *["SpecRegistered"] * 50]
    assert len(types) == 1
    await all_linear(durable_api)


async def test_fifty_identical_submissions_register_one_spec(durable_api: RunningApi):
    ids = await asyncio.gather(*(durable_api.submit(a_config()) for _ in range(50)))
    assert len(set(ids)) == 1
    assert await durable_api.api.log.last_sequence() == 3


async def test_rollback_against_update(durable_api: RunningApi):
    deployment_id = await durable_api.submit(a_config())
    await durable_api.submit(a_config(replicas=2))
    history = await durable_api.get(f"/v1/deployments/{deployment_id}/history")
    first = history["items"][-1]["id"]
    path = f"/v1/deployments/{deployment_id}/rollback"
    answers = await asyncio.gather(
        *(durable_api.http.post(path, json={"specId": first}) for _ in range(10)),
        *(durable_api.submit(a_config(replicas=n)) for n in range(3, 13)),
    )
    assert all(answer.status_code == 200 for answer in answers[:10])
    specs = (await durable_api.get(f"/v1/deployments/{deployment_id}/history", limit=120))["items"]
    latest = (await durable_api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    assert latest["id"] == specs[0]["id"]
    for newer, older in pairwise(specs):
        assert newer["data"] != older["data"], "an identical spec was registered"
    await all_linear(durable_api)


async def test_delete_against_update(durable_api: RunningApi):
    for _ in range(5):
        deployment_id = await durable_api.submit(a_config())
        body = {"config": a_config(replicas=9), "projectId": "default", "deploymentId": deployment_id}
        deletion, update, by_name = await asyncio.gather(
            durable_api.http.delete(f"/v1/deployments/{deployment_id}"),
            durable_api.http.post("/v1/deployments", json=body),
            durable_api.submit(a_config(replicas=7)),
        )
        assert deletion.status_code == 200
        assert update.status_code in {200, 404}
        types = await types_by_deployment(durable_api)
        assert types[deployment_id][-1] == "DeploymentDeleted", "something came after the deletion"
        if by_name != deployment_id:
            await durable_api.http.delete(f"/v1/deployments/{by_name}")
    await all_linear(durable_api)


async def test_delete_a_project_against_its_first_deployment(durable_api: RunningApi):
    for number in range(10):
        project = (await durable_api.http.post("/v1/projects", json={"name": f"p{number}"})).json()["id"]
        body = {"config": a_config(), "projectId": project}
        deletion, submission = await asyncio.gather(
            durable_api.http.delete(f"/v1/projects/{project}"),
            durable_api.http.post("/v1/deployments", json=body),
        )
        assert {deletion.status_code, submission.status_code} in ({200, 404}, {409, 200})
    await all_linear(durable_api)


async def test_renames_to_one_name_have_one_winner(durable_api: RunningApi):
    ids = [await durable_api.submit(a_config(f"d{n}")) for n in range(8)]
    body = {"config": a_config("wanted"), "projectId": "default"}
    answers = await asyncio.gather(
        *(durable_api.http.post("/v1/deployments", json=body | {"deploymentId": i}) for i in ids)
    )
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 7]
    await all_linear(durable_api)
