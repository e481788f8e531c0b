"""A cluster of a test's own whose server dies, and whose nodes fall silent all at once."""

import asyncio

import pytest

from libs.common.cluster.kubernetes import informer, names
from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.errors import ClusterUnavailable
from libs.common.machine_types.reading import bundled
from tests.support.clusters import replicas, run_of, workload
from tests.support.kubelab.simulated import silence, unsilence
from tests.support.kubernetes_world import prepare
from tests.support.polling import eventually

TIMING = Timing(grace_s=5, drain_s=30)
NAMESPACE = "default"


@pytest.fixture
async def cluster(own_kubernetes):
    await asyncio.to_thread(prepare, own_kubernetes.client, NAMESPACE)
    async with KubernetesCluster.opened(
        own_kubernetes.kubeconfig, namespace=NAMESPACE, machine_types=bundled(), timing=TIMING
    ) as opened:
        yield opened


async def until_ready(cluster, number):
    async def shown():
        found = await replicas(cluster)
        return found if [one.ready for one in found] == [True] * number else None

    return await eventually(shown)


async def test_an_api_server_that_dies_is_waited_for(own_kubernetes, cluster, monkeypatch):
    monkeypatch.setattr(informer, "BROKEN_FOR_S", 1.0)
    await cluster.apply(workload(run_of(3)), fence=1)
    before = await until_ready(cluster, 3)
    own_kubernetes.apiserver.kill()
    with pytest.raises(ClusterUnavailable, match="API server"):
        await cluster.apply(workload(run_of(4)), fence=2)

    async def is_unavailable():
        try:
            await cluster.observe()
        except ClusterUnavailable:
            return True
        return False

    await eventually(is_unavailable)
    await asyncio.to_thread(own_kubernetes.start_api)

    async def is_available():
        return not await is_unavailable()

    await eventually(is_available)
    assert await replicas(cluster) == before
    await cluster.apply(workload(run_of(4)), fence=2)
    assert (await until_ready(cluster, 4))[:3] == before


async def test_when_all_nodes_are_silent_nothing_is_concluded(own_kubernetes, cluster):
    await cluster.apply(workload(run_of(6)), fence=1)
    before = await until_ready(cluster, 6)
    own_kubernetes.kwok.pause()
    heard = set()

    async def are_all_lost():
        shown = await replicas(cluster)
        heard.update(one.ready for one in shown)
        return [one.reason for one in shown] == ["node_lost"] * 6

    await eventually(are_all_lost)
    assert heard == {True, None}
    assert [one.ready for one in await replicas(cluster)] == [None] * 6
    own_kubernetes.kwok.go_on()
    after = await until_ready(cluster, 6)
    assert [one.replica_id for one in after] == [one.replica_id for one in before]


async def test_a_replica_on_one_silent_node_is_not_ready_and_stays(own_kubernetes, cluster):
    await cluster.apply(workload(run_of(3)), fence=1)
    before = await until_ready(cluster, 3)
    listed = await asyncio.to_thread(own_kubernetes.client.get, f"/api/v1/namespaces/{NAMESPACE}/pods")
    node = listed["items"][0]["spec"]["nodeName"]
    there = {
        pod["metadata"]["labels"][names.REPLICA] for pod in listed["items"] if pod["spec"]["nodeName"] == node
    }
    await asyncio.to_thread(silence, own_kubernetes.client, node)

    async def is_lost():
        shown = await replicas(cluster)
        return {one.replica_id for one in shown if one.ready is False} == there

    await eventually(is_lost)
    shown = await replicas(cluster)
    assert {one.message for one in shown if not one.ready} == {f"its node {node} does not answer"}
    assert [one.replica_id for one in shown] == [one.replica_id for one in before]
    await asyncio.to_thread(unsilence, own_kubernetes.client, node)
    await until_ready(cluster, 3)
