"""Many ask for the same thing at once: one outcome, and a history without a fork."""

import asyncio
from itertools import pairwise

from tests.support.live_platform import hello


async def test_fifty_first_submissions_of_one_name_make_one_deployment(shared_platform):
    configs = [hello("stampede", replicas=1 + number % 3) for number in range(50)]
    ids = set(await asyncio.gather(*(shared_platform.submit(config) for config in configs)))
    assert len(ids) == 1
    (deployment_id,) = ids
    await shared_platform.settled(deployment_id)
    events = await shared_platform.events(deployment_id)
    types = [event["type"] for event in events]
    assert types.count("DeploymentCreated") == 1
    specs = [event["data"]["spec"] for event in events if event["type"] == "SpecRegistered"]
    assert all(older != newer for older, newer in pairwise(specs))
    replicas = (await shared_platform.spec(deployment_id))["data"]["resources"]["replicas"]
    assert len(await shared_platform.replica_pids(deployment_id)) == replicas
    page = await shared_platform.get("/projects/default/deployments", name="stampede")
    assert [found["id"] for found in page["items"]] == [deployment_id]
    await shared_platform.verified()


async def test_rollbacks_against_updates_end_as_the_history_says(shared_platform):
    deployment_id = await shared_platform.deploy(hello("contested"))
    first = await shared_platform.spec(deployment_id)
    await shared_platform.deploy(hello("contested", replicas=2))
    async with shared_platform.calling(deployment_id) as caller:
        rollback = ("POST", f"/deployments/{deployment_id}/rollback")
        answers = await asyncio.gather(
            *(shared_platform.ask(*rollback, json={"specId": first["id"]}) for _ in range(5)),
            *(shared_platform.submit(hello("contested", VERSION=str(number))) for number in range(5)),
        )
        spec = await shared_platform.settled(deployment_id)
    assert {answer.status_code for answer in answers[:5]} == {200}
    history = (await shared_platform.get(f"/deployments/{deployment_id}/history", limit=120))["items"]
    assert history[0]["id"] == spec["id"]
    assert all(newer["data"] != older["data"] for newer, older in pairwise(history))
    assert not caller.failures()
    assert len(await shared_platform.replica_pids(deployment_id)) == spec["data"]["resources"]["replicas"]
    await shared_platform.verified()


async def test_a_deletion_against_updates_leaves_nothing_or_another_deployment(shared_platform):
    deployment_id = await shared_platform.deploy(hello("doomed"))
    updates = (shared_platform.submit(hello("doomed", VERSION=str(number))) for number in range(10))
    submitted, _ = await asyncio.gather(asyncio.gather(*updates), shared_platform.delete(deployment_id))
    await shared_platform.gone(deployment_id)
    types = [event["type"] for event in await shared_platform.events(deployment_id)]
    assert types.count("DeploymentDeleted") == 1
    assert "SpecRegistered" not in types[types.index("DeploymentDeleted") :]
    others = set(submitted) - {deployment_id}
    assert len(others) <= 1
    for other in others:
        await shared_platform.settled(other)
        await shared_platform.delete(other)
        await shared_platform.gone(other)
    await shared_platform.verified()
