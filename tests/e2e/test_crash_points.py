"""Each service dies between its effects: before it appends, after it appended, after it spawned.

In each life of a deployment (create, update, delete, under calls) the services named die once, each at its
first effect of that kind; what is started in its place goes on.
"""

from collections.abc import Mapping

import pytest

from tests.support.dying_service import ORDERS, order_of
from tests.support.live_platform import LivePlatform, checked, hello
from tests.support.polling import eventually

LIVES = [
    {
        "api": "before DeploymentCreated",
        "reconciler": "before apply",
        "health": "before ReplicaStarted",
        "router": "before EndpointsWithdrawn",
    },
    {
        "api": "after DeploymentCreated",
        "reconciler": "after apply",
        "health": "after ReplicaStarted",
        "router": "after EndpointsWithdrawn",
    },
    {
        "api": "before DeploymentDeleted",
        "reconciler": "after SpecApplied",
        "health": "before ReplicaBecameReady",
    },
    {
        "api": "after DeploymentDeleted",
        "reconciler": "before ReplicasRetiring",
        "health": "after ReplicaBecameReady",
    },
    {"reconciler": "after ReplicasRetiring", "health": "before ReplicaStopped"},
    {"reconciler": "after remove", "health": "after ReplicaStopped"},
]

SENTENCES = [
    {"health": "before ReplicaCondemned", "reconciler": "before restart"},
    {"health": "after ReplicaCondemned", "reconciler": "after restart"},
]


def _told(points: Mapping[str, str]) -> str:
    return ", ".join(f"{service} {point}" for service, point in points.items())


@pytest.fixture(scope="module")
async def platform(tmp_path_factory):
    platform = LivePlatform(tmp_path_factory.mktemp("dying") / "home", **ORDERS)
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


@pytest.mark.parametrize("points", LIVES, ids=_told)
async def test_deaths_between_effects_lose_nothing(platform, points):
    name = _told(points)
    before = await _ordered(platform, points)
    deployment_id = await platform.deploy(hello(name))
    async with platform.calling(deployment_id) as caller:
        await platform.submit(hello(name, VERSION="2"))
        spec = await platform.settled(deployment_id)
        assert len(await platform.replica_pids(deployment_id)) == 1
        await eventually(lambda: caller.calls[-1].spec_id == spec["id"])
    assert not caller.failures()
    assert len(await platform.events(deployment_id, type="SpecRegistered")) == 2
    await platform.delete(deployment_id)
    await platform.gone(deployment_id)
    assert len(await platform.events(deployment_id, type="DeploymentDeleted")) == 1
    await _carried_out(platform, points, before)


@pytest.mark.parametrize("points", SENTENCES, ids=_told)
async def test_a_sentence_ends_one_process_once(platform, points):
    name = _told(points)
    deployment_id = await platform.deploy(hello(name, replicas=2, checks=checked(failure_threshold=1)))
    pids = await platform.replica_pids(deployment_id)
    before = await _ordered(platform, points)
    async with platform.calling(deployment_id, allows_repeats=True) as caller:
        answer = await caller.once("/live?set=off")
        sentenced = answer.headers["x-specstream-replica"]

        async def is_another() -> bool:
            now = platform.replica_processes(deployment_id)
            return len(now.get(sentenced, [])) == 1 and now[sentenced] != [pids[sentenced]]

        await eventually(is_another, because="the sentenced process was not replaced")
        await _carried_out(platform, points, before)
        await platform.settled(deployment_id)
    assert not caller.failures()
    after = await platform.replica_pids(deployment_id)
    assert {replica_id for replica_id in pids if after[replica_id] != pids[replica_id]} == {sentenced}
    restarted = await platform.events(deployment_id, type="ReplicaRestarted")
    assert [event["data"]["replica_id"] for event in restarted] == [sentenced]
    await platform.delete(deployment_id)
    await platform.gone(deployment_id)


async def _ordered(platform: LivePlatform, points: Mapping[str, str]) -> dict[str, int | None]:
    """Everybody is told where to die; who they are until then."""
    # A supervisor that starts anew makes nobody wait for deaths of an earlier test.
    platform.send("supervisor")
    await platform.start_and_wait()
    before = {service: platform.pid(service) for service in points}
    for service, point in points.items():
        order_of(platform.home, service).write_text(point)
    return before


async def _carried_out(
    platform: LivePlatform, points: Mapping[str, str], before: Mapping[str, int | None]
) -> None:
    for service, point in points.items():
        await eventually(
            lambda service=service: not order_of(platform.home, service).exists(),
            because=f"{service} never came to the point {point}",
        )
        await eventually(lambda service=service: platform.pid(service) not in {None, before[service]})
    await platform.healthy()
    await platform.verified()
