"""A deployment follows its load on a running platform: measured, decided, carried out; up and down again."""

import asyncio
import itertools

import pytest

from tests.support.dying_service import ORDERS, order_of
from tests.support.live_platform import LivePlatform, load
from tests.support.pod_platform import pod_platform
from tests.support.polling import eventually
from tests.support.recorded_calls import Caller
from tests.support.scheduling import PODS

WORK_S = 0.04
"""Of a processor, by each call."""

QUICK = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 2}]},
    "scaleDown": {
        "stabilizationWindowSeconds": 5,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 2}],
    },
}
MACHINE_TYPES = "- {name: small, cpus: 0.25, memoryGib: 0.5}\n"


@pytest.fixture(scope="module")
async def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoscaling")
    (folder / "types.yaml").write_text(MACHINE_TYPES)
    platform = LivePlatform(
        folder / "home",
        SPECSTREAM_USAGE_SECONDS="1",
        SPECSTREAM_REQUEST_WINDOW_SECONDS="5",
        SPECSTREAM_MACHINE_TYPES=str(folder / "types.yaml"),
        **ORDERS,
    )
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


async def decided(platform: LivePlatform, deployment_id: str) -> list[int]:
    events = await platform.events(deployment_id, type="ReplicasDecided")
    return [event["data"]["to_replicas"] for event in events]


@pytest.fixture(scope="module")
async def platform_of_pods(measured_real_node, tmp_path_factory):
    """Where a machine type `small` is too. Kubelets measure every ten seconds."""
    home = tmp_path_factory.mktemp("autoscaling") / "home"
    async with pod_platform(measured_real_node, home, SPECSTREAM_USAGE_SECONDS="1") as platform:
        yield platform


@pytest.fixture(params=["processes", PODS])
def platform_that_measures(request):
    return request.getfixturevalue({"processes": "platform", PODS: "platform_of_pods"}[request.param])


async def ready(platform: LivePlatform, deployment_id: str) -> set[str]:
    return {one["id"] for one in await platform.instances(deployment_id) if one["state"] == "running"}


async def test_cpu_load_adds_a_replica_and_its_end_takes_it_away(platform_that_measures):
    platform = platform_that_measures
    autoscaling = {"maxReplicas": 3, "metrics": [{"metric": "cpu", "summary": "average", "value": 50}]}
    deployment_id = await platform.deploy(load("by-cpu", {**autoscaling, "behavior": QUICK}))
    (first,) = await ready(platform, deployment_id)
    (pid,) = (await platform.replica_pids(deployment_id)).values()
    calls: list[Caller] = []
    async with platform.calling(deployment_id) as light:
        async with platform.calling(deployment_id, f"/burn?seconds={WORK_S}") as heavy:
            await eventually(lambda: _has_more(platform, deployment_id, 2))
            calls.append(heavy)
        await eventually(lambda: _is_down(platform, deployment_id))
        calls.append(light)
    assert not [failure for caller in calls for failure in caller.failures()]
    assert await platform.replica_pids(deployment_id) == {first: pid}
    numbers = await decided(platform, deployment_id)
    assert numbers[0] == 2
    assert numbers[-1] == 1
    assert all(before != after for before, after in itertools.pairwise(numbers))
    events = await platform.events(deployment_id, type="ReplicasDecided")
    assert {event["actor"] for event in events} == {"service:autoscaler"}
    await platform.healthy()
    await asyncio.gather(platform.delete(deployment_id), platform.verified())


async def _has_more(platform: LivePlatform, deployment_id: str, number: int) -> bool:
    return len(await ready(platform, deployment_id)) >= number


async def _is_down(platform: LivePlatform, deployment_id: str) -> bool:
    return (await decided(platform, deployment_id))[-1] == 1 and len(
        await platform.instances(deployment_id)
    ) == 1


async def test_memory_that_is_held_adds_a_replica_and_its_end_takes_it_away(platform):
    """Of 512 MiB the first replica holds 400: 80 % and more of 60, so one more makes the average fit."""
    autoscaling = {"maxReplicas": 3, "metrics": [{"metric": "memory", "summary": "average", "value": 60}]}
    deployment_id = await platform.deploy(load("by-memory", {**autoscaling, "behavior": QUICK}))
    (first,) = await ready(platform, deployment_id)
    caller = platform.caller(deployment_id)

    async def holds(mib: int) -> bool:
        answer = await caller.once(f"/hold?mib={mib}")
        return answer.headers.get("x-specstream-replica") == first

    await eventually(lambda: holds(400))
    await eventually(lambda: _has_more(platform, deployment_id, 2))

    await eventually(lambda: holds(0))
    await eventually(lambda: _is_down(platform, deployment_id))
    events = await platform.events(deployment_id, type="ReplicasDecided")
    assert {event["data"]["winner"] for event in events} == {"memory"}
    await platform.delete(deployment_id)


async def test_requests_in_flight_add_replicas_at_once_and_their_end_takes_them_away(platform):
    concurrency = {
        "target": 1,
        "targetUtilizationPercentage": 100,
        "windowSeconds": 10,
        "scaleDownDelaySeconds": 2,
    }
    deployment_id = await platform.deploy(load("in-flight", {"maxReplicas": 3, "concurrency": concurrency}))
    async with platform.calling(deployment_id, "/sleep?seconds=1", lanes=6) as caller:
        await eventually(lambda: _has_more(platform, deployment_id, 3))
    await eventually(lambda: _is_down(platform, deployment_id))
    assert not caller.failures()
    events = await platform.events(deployment_id, type="ReplicasDecided")
    assert all(event["data"]["in_flight"]["needed"] <= 3 for event in events)
    await platform.delete(deployment_id)


async def test_slow_answers_add_a_replica_a_window_apart_and_fast_ones_take_it_away(platform):
    """With a window of five seconds."""
    duration = {"metric": "requestDuration", "summary": "average", "value": 0.1}
    deployment_id = await platform.deploy(
        load("slow", {"maxReplicas": 2, "metrics": [duration], "behavior": QUICK})
    )
    async with platform.calling(deployment_id, "/sleep?seconds=0.3") as caller:
        await eventually(lambda: _has_more(platform, deployment_id, 2))
    await eventually(lambda: _is_down(platform, deployment_id))
    assert not caller.failures()
    events = await platform.events(deployment_id, type="ReplicasDecided")
    assert {event["data"]["winner"] for event in events} == {"requestDuration"}
    await platform.delete(deployment_id)


@pytest.mark.parametrize("point", ["before ReplicasDecided", "after ReplicasDecided"])
async def test_an_autoscaler_that_dies_at_a_decision_loses_nothing(platform, point):
    autoscaling = {"maxReplicas": 2, "metrics": [{"metric": "cpu", "summary": "average", "value": 50}]}
    deployment_id = await platform.deploy(load(point, {**autoscaling, "behavior": QUICK}))
    order = order_of(platform.home, "autoscaler")
    order.write_text(point)
    async with platform.calling(deployment_id, f"/burn?seconds={WORK_S}") as caller:
        await eventually(lambda: not order.exists())
        await eventually(lambda: _has_more(platform, deployment_id, 2))
    await eventually(lambda: _is_down(platform, deployment_id))
    assert not caller.failures()
    numbers = await decided(platform, deployment_id)
    assert all(before != after for before, after in itertools.pairwise(numbers))
    await platform.healthy()
    await platform.delete(deployment_id)
