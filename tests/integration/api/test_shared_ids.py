"""Two deployments whose specs, runs and replicas have the same ids, as only an imported log can have: what is
shown of one is never what the other's events say."""

from datetime import timedelta
from pathlib import Path

from libs.common.clock import to_rfc3339, utc_now
from libs.common.log.memory import MemoryLog
from tests.support.deployments import Storyteller
from tests.support.poison import PoisonedLog
from tests.support.polling import eventually
from tests.support.rest import RunningApi, running_api

REPLICA = "1" * 32


async def two_alike(api: RunningApi) -> tuple[Storyteller, Storyteller]:
    """The first wants one replica and has it ready; the second wants two, one of which it begins to start."""
    first, second = Storyteller(api.api.log), Storyteller(api.api.log)
    await first.create(replicas=1)
    await first.ready(REPLICA, "127.0.0.1:1")
    await second.create(replicas=2)
    await second.starting(REPLICA, "127.0.0.1:2")
    return first, second


async def shown(api: RunningApi, story: Storyteller) -> tuple[int, list[str]]:
    """How many replicas are wanted, and the states of those that there are."""
    (run,) = await api.get(f"/v1/deployments/{story.deployment_id}/runs")
    return run["replicas"], [instance["state"] for instance in run["instances"]]


async def test_each_has_its_own_spec_and_replicas(api: RunningApi) -> None:
    first, second = await two_alike(api)
    assert (await shown(api, first), await shown(api, second)) == ((1, ["running"]), (2, ["starting"]))
    await second.stopped(REPLICA)
    assert (await shown(api, first), await shown(api, second)) == ((1, ["running"]), (2, []))
    for story in (first, second):
        path = f"/v1/deployments/{story.deployment_id}"
        assert len((await api.get(f"{path}/history"))["items"]) == 1
        now, then = await api.get(path), await api.get(path, at=await api.api.log.last_sequence())
        assert {name: value for name, value in then.items() if name != "at"} == now
    assert (await api.get("/v1/log/verify"))["ok"]


async def test_each_replica_is_used_for_its_own_time(api: RunningApi) -> None:
    first, second = await two_alike(api)
    await second.stopped(REPLICA)
    an_hour_ago = to_rfc3339(utc_now() - timedelta(hours=1))
    one, other = [await api.get("/v1/usage", **{"from": an_hour_ago}) for _ in range(2)]
    grows = {item["deploymentId"]: item["replicaSeconds"] for item in one["items"]}
    assert grows.keys() == {first.deployment_id, second.deployment_id}
    now = {item["deploymentId"]: item["replicaSeconds"] for item in other["items"]}
    assert now[first.deployment_id] > grows[first.deployment_id], "it is still there"
    assert now[second.deployment_id] == grows[second.deployment_id], "it is gone"


async def test_the_rows_of_one_can_be_made_anew_beside_the_other(tmp_path: Path) -> None:
    log = PoisonedLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path, log) as api:
        first, second = await two_alike(api)
        set_aside = api.api.projector.progress.set_aside
        log.poisoned = {second.deployment_id}
        await second.stopped(REPLICA)
        await eventually(lambda: len(set_aside) == 1)
        log.poisoned = set()
        await eventually(lambda: not set_aside)
        assert (await shown(api, first), await shown(api, second)) == ((1, ["running"]), (2, []))
        assert (await api.get("/v1/log/verify"))["ok"]
