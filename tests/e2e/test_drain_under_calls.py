"""A node is drained, as an operator does it, while clients call the only replica: real pods, real calls."""

import asyncio
import subprocess

import pytest

from libs.common.cluster.kubernetes import names
from tests.support.kubelab.simulated import uncordon
from tests.support.live_platform import hello
from tests.support.on_kubernetes import pods
from tests.support.pod_platform import pod_platform
from tests.support.polling import eventually

CLIENTS = 8


@pytest.fixture
async def platform(real_node, tmp_path):
    async with pod_platform(real_node, tmp_path / "home") as platform:
        yield platform


async def test_a_drain_of_the_node_of_a_lone_replica_loses_no_call(platform, real_node, kubernetes_program):
    deployment_id = await platform.deploy(hello("drained"))
    (first,) = await pods(platform)
    path = f"/api/v1/namespaces/{platform.namespace}/pods/{names.pod_name(first)}"
    node = (await asyncio.to_thread(platform.client.get, path))["spec"]["nodeName"]
    try:
        async with platform.calling(deployment_id, lanes=CLIENTS) as caller:
            argv = [kubernetes_program, "kubectl", f"--kubeconfig={real_node.kubeconfig}"]
            argv += ["drain", node, "--timeout=300s"]
            drained = await asyncio.to_thread(
                subprocess.run, argv, capture_output=True, text=True, check=False, timeout=330
            )
            assert drained.returncode == 0, drained.stderr
            (after,) = await pods(platform)
            await eventually(lambda: caller.calls[-1].replica_id == after)
    finally:
        await asyncio.to_thread(uncordon, platform.client, node)
    assert not caller.failures()
    assert {call.replica_id for call in caller.served} == {first, after}
    assert first != after
    assert len(caller.served) > 10 * CLIENTS
