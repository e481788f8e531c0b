"""A cluster of a test's own whose server dies, and whose nodes fall silent all at once."""

import asyncio
import re

import pytest

from libs.common.cluster.kubernetes import informer, names, pulse
from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.errors import ClusterUnavailable
from libs.common.machine_types.reading import bundled
from tests.support.clusters import replicas, run_of, trouble, until_available, workload
from tests.support.kubelab.simulated import silence, unsilence
from tests.support.kubernetes_world import prepare
from tests.support.polling import eventually, let_time_pass

TIMING = Timing(grace_s=5, drain_s=30, node_lost_s=1)
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
    await eventually(lambda: trouble(cluster))
    await asyncio.to_thread(own_kubernetes.start_api)
    await until_available(cluster)
    # The nodes count as silent for a moment, where all of that took long.
    assert await until_ready(cluster, 3) == before
    await cluster.apply(workload(run_of(4)), fence=2)
    assert (await until_ready(cluster, 4))[:3] == before


def etcd_dies(plane):
    plane.etcd.kill()


def etcd_is_back(plane):
    plane.start_api()


def server_stalls(plane):
    plane.apiserver.pause()


def server_goes_on(plane):
    plane.apiserver.go_on()


@pytest.mark.parametrize(
    ("hurt", "mend", "words"),
    [
        pytest.param(etcd_dies, etcd_is_back, r"\[-\]etcd", id="etcd dies"),
        pytest.param(server_stalls, server_goes_on, "does not answer: get readyz timed out", id="stalled"),
    ],
)
async def test_a_server_that_answers_from_memory_or_not_at_all_is_waited_for(
    own_kubernetes, cluster, hurt, mend, words
):
    """Its watches stay open. What is asked meanwhile is given up, at the latest when that is known."""
    await cluster.apply(workload(run_of(3)), fence=1)
    before = await until_ready(cluster, 3)
    heard = cluster.watch()
    assert (await anext(heard)).everything
    hurt(own_kubernetes)

    async def is_given_up():
        with pytest.raises(ClusterUnavailable) as told:
            await cluster.apply(workload(run_of(4)), fence=2)
        # What etcd was about to answer when it died fails at once, and tells of nothing but itself.
        return re.search(words, str(told.value))

    await eventually(is_given_up)
    assert re.search(words, await trouble(cluster))
    with pytest.raises(ClusterUnavailable, match=words):
        await until_it_ends(heard)
    await asyncio.to_thread(mend, own_kubernetes)

    async def is_applied():
        try:
            await cluster.apply(workload(run_of(4)), fence=3)
        except ClusterUnavailable:
            return False
        return True

    await eventually(is_applied, every_s=0.1)
    assert (await until_ready(cluster, 4))[:3] == before


async def until_it_ends(heard):
    async for _ in heard:
        pass


async def test_an_etcd_that_dies_is_named_though_nothing_is_asked(own_kubernetes, cluster, monkeypatch):
    monkeypatch.setattr(pulse, "EVERY_S", 0.5)
    await cluster.apply(workload(run_of(1)), fence=1)
    before = await until_ready(cluster, 1)
    own_kubernetes.etcd.kill()

    async def is_named():
        return "[-]etcd" in await trouble(cluster)

    await eventually(is_named, every_s=0.1)
    await asyncio.to_thread(own_kubernetes.start_api)
    await until_available(cluster)
    assert await until_ready(cluster, 1) == before


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
    # Much longer than one node may be silent, so that each would have been replaced.
    await let_time_pass(3)
    assert [(one.ready, one.must_move) for one in await replicas(cluster)] == [(None, None)] * 6
    own_kubernetes.kwok.go_on()
    after = await until_ready(cluster, 6)
    assert [one.replica_id for one in after] == [one.replica_id for one in before]


async def test_a_replica_on_a_silent_node_is_replaced_and_holds_nothing_up(own_kubernetes, cluster):
    await cluster.apply(workload(run_of(3)), fence=1)
    before = await until_ready(cluster, 3)
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    listed = await asyncio.to_thread(own_kubernetes.client.get, pods)
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

    async def is_given_up():
        moving = {one.replica_id: one.must_move for one in await replicas(cluster) if one.must_move}
        return moving == dict.fromkeys(there, "node_lost")

    await eventually(is_given_up)
    # What the reconciler does about it: others elsewhere, and those go, of which nobody can tell when.
    await cluster.apply(workload(run_of(3), retiring=there), fence=2)
    await cluster.apply(workload(run_of(3), retiring=there, stopping=there), fence=3)
    after = await until_ready(cluster, 3)
    assert not there & {one.replica_id for one in after}

    async def still_there():
        """Told to end with all its time, and never by force: it may be running."""
        present = (await asyncio.to_thread(own_kubernetes.client.get, pods))["items"]
        left = [pod for pod in present if pod["metadata"]["labels"][names.REPLICA] in there]
        return [pod["metadata"]["deletionGracePeriodSeconds"] for pod in left] == [
            TIMING.told_to_end_s for _ in there
        ]

    await eventually(still_there)
    await cluster.remove("d" * 32, fence=4)

    async def is_removed():
        return await cluster.observe() == {}

    await eventually(is_removed)
    assert await still_there()
    # Its node comes back: it ends, and nobody takes it for a replica.
    await asyncio.to_thread(unsilence, own_kubernetes.client, node)

    async def is_gone():
        assert await cluster.observe() == {}
        return (await asyncio.to_thread(own_kubernetes.client.get, pods))["items"] == []

    await eventually(is_gone)


async def test_a_silent_node_that_answers_again_in_time_keeps_its_replicas(own_kubernetes):
    await asyncio.to_thread(prepare, own_kubernetes.client, NAMESPACE)
    patient = Timing(grace_s=5, drain_s=30, node_lost_s=600)
    async with KubernetesCluster.opened(
        own_kubernetes.kubeconfig, namespace=NAMESPACE, machine_types=bundled(), timing=patient
    ) as cluster:
        await cluster.apply(workload(run_of(1)), fence=1)
        before = await until_ready(cluster, 1)
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{names.pod_name(before[0].replica_id)}"
        node = (await asyncio.to_thread(own_kubernetes.client.get, path))["spec"]["nodeName"]
        await asyncio.to_thread(silence, own_kubernetes.client, node)

        async def is_lost():
            (shown,) = await replicas(cluster)
            return (shown.ready, shown.reason, shown.must_move) == (False, "node_lost", None)

        await eventually(is_lost)
        await asyncio.to_thread(unsilence, own_kubernetes.client, node)
        assert await until_ready(cluster, 1) == before
