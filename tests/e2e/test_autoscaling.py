"""A deployment follows its load on a running platform: measured, decided, carried out; up and down again."""

import asyncio
import itertools
import sys

import pytest

from tests.support.live_platform import LivePlatform
from tests.support.platform_process import ROOT
from tests.support.polling import eventually
from tests.support.recorded_calls import Caller

LOAD = ROOT / "examples" / "load" / "app.py"
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


def load(name: str, autoscaling: dict, *, replicas: int = 1) -> dict:
    return {
        "apiVersion": "v1",
        "name": name,
        "image": "specstream/load",
        "command": [sys.executable, "-I", str(LOAD)],
        "resources": {
            "machineType": "small",
            "ports": [8000],
            "replicas": replicas,
            "autoscaling": autoscaling,
        },
        "healthChecks": {"readiness": {"path": "/ready", "periodSeconds": 1, "timeoutSeconds": 5}},
    }


@pytest.fixture(scope="module")
async def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoscaling")
    (folder / "types.yaml").write_text(MACHINE_TYPES)
    platform = LivePlatform(
        folder / "home",
        SPECSTREAM_USAGE_SECONDS="1",
        SPECSTREAM_MACHINE_TYPES=str(folder / "types.yaml"),
    )
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


async def decided(platform: LivePlatform, deployment_id: str) -> list[int]:
    events = await platform.events(deployment_id, type="ReplicasDecided")
    return [event["data"]["to_replicas"] for event in events]


async def ready(platform: LivePlatform, deployment_id: str) -> set[str]:
    return {one["id"] for one in await platform.instances(deployment_id) if one["state"] == "running"}


async def test_cpu_load_adds_a_replica_and_its_end_takes_it_away(platform):
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
