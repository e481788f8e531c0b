"""A spec becomes an endpoint, and changes under calls without losing one (promises 3 and 4)."""

from datetime import datetime, timedelta

from tests.support.live_platform import hello
from tests.support.polling import eventually
from tests.support.processes import own_pid


async def test_a_spec_becomes_an_endpoint(any_platform):
    deployment_id = await any_platform.deploy(hello("becomes", replicas=2, MESSAGE="hi"))
    async with any_platform.calling(deployment_id) as caller:
        answer = await caller.once()
    assert answer.json()["message"] == "hi"
    spec = await any_platform.spec(deployment_id)
    assert answer.headers["x-specstream-deployment"] == deployment_id
    assert answer.headers["x-specstream-spec"] == spec["id"]
    assert answer.headers["x-specstream-replica"] == answer.json()["replica_id"]
    pid = (await any_platform.replica_pids(deployment_id))[answer.json()["replica_id"]]
    assert answer.json()["pid"] == own_pid(pid)


async def test_an_update_loses_no_call(any_platform):
    deployment_id = await any_platform.deploy(hello("updated", replicas=2))
    first = await any_platform.spec(deployment_id)
    async with any_platform.calling(deployment_id) as caller:
        assert await any_platform.submit(hello("updated", replicas=2, VERSION="2")) == deployment_id
        second = await any_platform.settled(deployment_id)
        await eventually(lambda: second["id"] in {call.spec_id for call in caller.calls})
    assert not caller.failures()
    assert first["id"] in {call.spec_id for call in caller.calls}
    assert first["runId"] != second["runId"]
    assert len(await any_platform.replica_pids(deployment_id)) == 2


async def test_many_updates_at_once_end_with_the_last(any_platform):
    deployment_id = await any_platform.deploy(hello("hurried"))
    async with any_platform.calling(deployment_id) as caller:
        for version in range(2, 7):
            await any_platform.submit(hello("hurried", VERSION=str(version)))
        await any_platform.settled(deployment_id)
        assert (await caller.once()).json()["version"] == "6"
    assert not caller.failures()
    assert len(await any_platform.replica_pids(deployment_id)) == 1


async def test_a_change_of_replicas_alone_keeps_every_process(any_platform):
    deployment_id = await any_platform.deploy(hello("scaled", replicas=2))
    before = await any_platform.replica_pids(deployment_id)
    async with any_platform.calling(deployment_id) as caller:
        await any_platform.deploy(hello("scaled", replicas=3))
        more = await any_platform.replica_pids(deployment_id)
        await any_platform.deploy(hello("scaled", replicas=1))
        fewer = await any_platform.replica_pids(deployment_id)
    assert len(more) == 3
    assert before.items() <= more.items()
    assert fewer.items() <= more.items()
    assert not caller.failures()


async def test_a_change_of_the_name_alone_keeps_every_process(any_platform):
    deployment_id = await any_platform.deploy(hello("named"))
    before = await any_platform.replica_pids(deployment_id)
    assert await any_platform.deploy(hello("renamed"), deploymentId=deployment_id) == deployment_id
    assert await any_platform.replica_pids(deployment_id) == before
    assert (await any_platform.get(f"/deployments/{deployment_id}"))["name"] == "renamed"


async def test_a_rollback_brings_the_earlier_spec_back_under_a_new_id(any_platform):
    deployment_id = await any_platform.deploy(hello("rolled", VERSION="1"))
    first = await any_platform.spec(deployment_id)
    async with any_platform.calling(deployment_id) as caller:
        await any_platform.deploy(hello("rolled", VERSION="2"))
        answer = await any_platform.ask(
            "POST", f"/deployments/{deployment_id}/rollback", json={"specId": first["id"]}
        )
        spec = await any_platform.settled(deployment_id)
        assert (await caller.once()).json()["version"] == "1"
    assert answer.json() == {"deploymentId": deployment_id, "specId": spec["id"]}
    assert (spec["runId"], spec["data"]) == (first["runId"], first["data"])
    assert spec["id"] != first["id"]
    assert not caller.failures()


async def test_disabled_enabled_stopped_and_deleted(any_platform):
    deployment_id = await any_platform.deploy(hello("switched"))
    async with any_platform.calling(deployment_id) as caller:
        pass

    async def answers(status: int, code: str) -> None:
        async def is_so() -> bool:
            answer = await caller.once()
            return answer.status_code == status and answer.json()["error_code"] == code

        await eventually(is_so, because=f"calls are not answered {status} {code}")

    await any_platform.deploy({**hello("switched"), "enabled": False})
    await answers(404, "deployment_disabled")
    assert await any_platform.replica_pids(deployment_id) == {}
    assert await any_platform.runs(deployment_id) == []
    await any_platform.deploy(hello("switched"))
    async with any_platform.calling(deployment_id):
        pass
    await any_platform.deploy(hello("switched", replicas=0))
    await answers(404, "deployment_stopped")
    await any_platform.delete(deployment_id)
    await answers(404, "deployment_not_found")
    await any_platform.gone(deployment_id)
    for path in ("", "/runs", "/logs"):
        assert (await any_platform.ask("GET", f"/deployments/{deployment_id}{path}")).status_code == 404
    history = await any_platform.get(f"/deployments/{deployment_id}/history")
    assert len(history["items"]) == 4


async def test_an_identical_spec_registers_nothing(any_platform):
    deployment_id = await any_platform.deploy(hello("same"))
    before = await any_platform.at_rest(deployment_id)
    assert await any_platform.deploy(hello("same")) == deployment_id
    assert await any_platform.events(deployment_id) == before


async def test_a_new_spec_of_a_ready_run_is_told_to_be_healthy_within_a_second(any_platform):
    deployment_id = await any_platform.deploy(hello("prompt", replicas=2))
    took = []
    # The quickest of some: a machine that is busy with other things makes one of them wait.
    while not took or (min(took) >= timedelta(seconds=1) and len(took) < 20):
        await any_platform.deploy(hello("prompt", replicas=1))
        spec = await any_platform.spec(deployment_id)
        registered, healthy = (datetime.fromisoformat(spec[name]) for name in ("dtCreated", "dtHealthy"))
        took.append(healthy - registered)
        await any_platform.deploy(hello("prompt", replicas=2))
    assert min(took) < timedelta(seconds=1)
