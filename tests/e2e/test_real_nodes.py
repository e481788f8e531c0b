"""What happens to replicas on real nodes: memory that runs out, a kubelet that is killed."""

import asyncio
import os
import signal
from datetime import datetime

import pytest

from libs.common.clock import utc_now
from libs.common.cluster.kubernetes import names
from tests.support.kubelab.real_node import BUSYBOX, kubelet_of
from tests.support.live_platform import hello, load
from tests.support.on_kubernetes import pods
from tests.support.pod_platform import PodPlatform
from tests.support.polling import eventually

TOO_MUCH_MIB = 600
"""More than a machine of the type `small` has."""
CONCURRENCY = {"maxReplicas": 1, "concurrency": {"target": 100}}
"""So that nobody scales it."""
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


@pytest.fixture
def platform(pods_platform: PodPlatform) -> PodPlatform:
    return pods_platform


async def pod_of(platform: PodPlatform, replica_id: str):
    path = f"/api/v1/namespaces/{platform.namespace}/pods/{names.pod_name(replica_id)}"
    return await asyncio.to_thread(platform.client.get, path)


async def container_of(platform: PodPlatform, replica_id: str):
    (status,) = (await pod_of(platform, replica_id))["status"]["containerStatuses"]
    return status


async def told(platform: PodPlatform, deployment_id: str, *, after: int):
    events = await platform.events(deployment_id, after=after)
    return [(one["type"], one["data"].get("reason")) for one in events]


async def test_one_whose_memory_runs_out_says_so_and_is_ready_again(platform: PodPlatform):
    deployment_id = await platform.deploy(load("greedy", CONCURRENCY))
    (replica_id,) = await pods(platform)
    last = (await platform.events())[-1]["sequence"]
    caller = platform.caller(deployment_id, f"/hold?mib={TOO_MUCH_MIB}")
    asking = asyncio.create_task(caller.once())

    async def is_known() -> dict:
        return (await container_of(platform, replica_id)).get("lastState", {}).get("terminated")

    async def is_told() -> bool:
        return "out_of_memory" in {reason for _, reason in await told(platform, deployment_id, after=last)}

    ended = await eventually(is_known, every_s=0.1)
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    await eventually(is_told, every_s=0.1)
    await asking

    async def is_started_again() -> dict | None:
        # By what is shown: what the log says, it may show a moment later, and how it ended comes another way.
        (shown,) = await platform.instances(deployment_id)
        return shown if shown["restarts"] and "lastExit" in shown else None

    shown = await eventually(is_started_again, every_s=0.1)
    assert shown["restarts"] == 1
    assert shown["lastExit"]["signal"] == signal.SIGKILL
    await platform.settled(deployment_id)
    assert set(await pods(platform)) == {replica_id}


async def test_an_image_that_would_run_as_root_says_so(platform: PodPlatform):
    as_root = {**hello("root"), "image": BUSYBOX, "command": ["/bin/busybox", "sleep", "3600"]}
    deployment_id = await platform.submit(as_root)

    async def is_said() -> bool:
        shown = await platform.instances(deployment_id)
        return [one["state"] for one in shown if "run as root" in (one["stateMessage"] or "")] == ["pending"]

    await eventually(is_said, every_s=0.2)


async def test_a_kubelet_that_is_killed_and_started_again_costs_no_call_and_no_replica(
    platform: PodPlatform,
):
    """Kubernetes may take its pods for unready meanwhile; those of the other node serve."""
    deployment_id = await platform.deploy(hello("kept", replicas=2))
    before = {one: await container_of(platform, one) for one in await pods(platform)}
    node = (await pod_of(platform, min(before)))["spec"]["nodeName"]
    kubelet = kubelet_of(node)

    async def has_begun_again() -> bool:
        """A kubelet renews its lease when it begins, and every ten seconds."""
        lease = await asyncio.to_thread(platform.client.get, f"{LEASES}/{node}")
        return datetime.fromisoformat(lease["spec"]["renewTime"]) > killed_at

    async with platform.calling(deployment_id) as caller:
        killed_at = utc_now()
        os.kill(kubelet, signal.SIGKILL)
        await eventually(has_begun_again, every_s=0.2)
        assert kubelet_of(node) != kubelet
        # What it carries out now, it does beside what it found.
        await platform.deploy(hello("beside", replicas=2))
    assert not caller.failures()
    await platform.settled(deployment_id)
    assert (await pods(platform)).keys() >= before.keys()
    for replica_id, status in before.items():
        after = await container_of(platform, replica_id)
        assert (after["containerID"], after["restartCount"]) == (
            status["containerID"],
            status["restartCount"],
        )
