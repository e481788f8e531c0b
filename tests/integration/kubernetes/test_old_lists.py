"""What is known from a list alone is asked for, of a real API server, before anybody rests on it."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.machine_types.reading import bundled
from tests.support.clusters import DEPLOYMENT, all_run, replicas, run_of, workload
from tests.support.fault_proxy import answer, before, hold
from tests.support.old_lists import OldLists
from tests.support.polling import eventually

TIMING = Timing(grace_s=5, drain_s=30)


@pytest.fixture
async def proxy(kubernetes_world, tmp_path):
    async with before(kubernetes_world.kubeconfig, tmp_path) as proxy:
        yield proxy
        proxy.mend()


@asynccontextmanager
async def started_anew(world, proxy):
    async with KubernetesCluster.opened(
        proxy.kubeconfig, namespace=world.namespace, machine_types=bundled(), timing=TIMING
    ) as cluster:
        yield cluster


def ids(shown):
    return {one.replica_id for one in shown}


async def replaced(world):
    """(the replica that has left, those that are there)"""
    first, second = await world.until(all_run(2))
    leaving = [first.replica_id]
    await world.cluster.apply(workload(run_of(2), retiring=leaving, stopping=leaving), fence=2)
    present = await world.until(lambda shown: all_run(2)(shown) and first not in shown)
    assert second.replica_id in ids(present)
    return first.replica_id, ids(present)


@pytest.mark.parametrize("old", [("pods",), ("configmaps",), ("pods", "configmaps")], ids="+".join)
async def test_what_an_old_list_still_has_or_lacks_is_put_right_by_asking(kubernetes_world, proxy, old):
    await kubernetes_world.cluster.apply(workload(run_of(2)), fence=1)
    await kubernetes_world.until(all_run(2))
    lists = OldLists(kubernetes_world.client, kubernetes_world.namespace)
    await asyncio.to_thread(lists.remember)
    gone, present = await replaced(kubernetes_world)

    reached, go_on = asyncio.Event(), asyncio.Event()
    for resource in old:
        proxy.on("WATCH", resource, hold(reached, go_on), times=100)
        proxy.on("GET", resource, lists.fault, times=100)
        lists.left[resource] = 1
    async with started_anew(kubernetes_world, proxy) as cluster:
        assert ids(await replicas(cluster)) != present
        assert await cluster.confirm(DEPLOYMENT, present | {gone})
        assert ids(await replicas(cluster)) == present
        proxy.reads.clear()
        assert not await cluster.confirm(DEPLOYMENT, present | {gone})
        assert not {"GET pods", "GET configmaps"} & set(proxy.reads)

        go_on.set()
        await kubernetes_world.cluster.apply(workload(run_of(3)), fence=3)
        after = ids(await kubernetes_world.until(all_run(3)))

        async def is_shown():
            await cluster.confirm(DEPLOYMENT, after | {gone})
            return ids(await replicas(cluster)) == after

        await eventually(is_shown)


async def test_an_old_list_in_the_middle_is_no_restored_backup(kubernetes_world, proxy):
    """A server that knows less than it did may be one that was restored, or one that answers from a cache."""
    await kubernetes_world.cluster.apply(workload(run_of(2)), fence=1)
    await kubernetes_world.until(all_run(2))
    lists = OldLists(kubernetes_world.client, kubernetes_world.namespace)
    await asyncio.to_thread(lists.remember)
    async with started_anew(kubernetes_world, proxy) as cluster:
        await replicas(cluster)
        gone, present = await replaced(kubernetes_world)

        async def is_there():
            return ids(await replicas(cluster)) == present

        await eventually(is_there)
        reached, go_on = asyncio.Event(), asyncio.Event()
        for resource in ("pods", "configmaps"):
            lists.left[resource] = 1
            proxy.on("WATCH", resource, answer(410, "too old resource version"))
            proxy.on("WATCH", resource, hold(reached, go_on), times=100)
            proxy.on("GET", resource, lists.fault, times=100)
        proxy.cut_watches()
        await eventually(lambda: lists.left.total() == 0)

        async def is_old():
            return gone in ids(await replicas(cluster))

        await eventually(is_old)
        assert await cluster.confirm(DEPLOYMENT, present | {gone})
        assert await is_there()
        go_on.set()


async def test_what_a_watch_has_told_is_not_asked_for(kubernetes_world, proxy):
    async with started_anew(kubernetes_world, proxy) as cluster:
        assert await replicas(cluster) == ()
        await kubernetes_world.cluster.apply(workload(run_of(2)), fence=1)
        shown = ids(await kubernetes_world.until(all_run(2)))

        async def shows(wanted):
            return ids(await replicas(cluster)) == wanted

        await eventually(lambda: shows(shown))
        proxy.reads.clear()
        assert not await cluster.confirm(DEPLOYMENT, shown)
        gone = min(shown)
        await asyncio.to_thread(kubernetes_world.client.delete, kubernetes_world.pod_path(gone))
        await eventually(lambda: shows(shown - {gone}))
        assert not await cluster.confirm(DEPLOYMENT, shown)
        assert "GET pods" not in proxy.reads


async def test_a_replica_of_a_list_that_was_true_is_asked_for_once(kubernetes_world, proxy):
    await kubernetes_world.cluster.apply(workload(run_of(2)), fence=1)
    shown = ids(await kubernetes_world.until(all_run(2)))
    async with started_anew(kubernetes_world, proxy) as cluster:
        assert ids(await replicas(cluster)) == shown
        proxy.reads.clear()
        for _ in range(2):
            assert not await cluster.confirm(DEPLOYMENT, shown)
        asked = [one for one in proxy.reads if one in ("GET configmaps", "GET pods")]
        assert sorted(asked) == ["GET configmaps", "GET pods", "GET pods"]


async def test_a_pod_that_lost_its_labels_is_none_of_ours_however_it_is_asked_for(kubernetes_world, proxy):
    await kubernetes_world.cluster.apply(workload(run_of(1)), fence=1)
    shown = ids(await kubernetes_world.until(all_run(1)))
    (replica_id,) = shown
    async with started_anew(kubernetes_world, proxy) as cluster:
        labels = {"metadata": {"labels": {names.COMPONENT: "other"}}}
        await asyncio.to_thread(kubernetes_world.client.patch, kubernetes_world.pod_path(replica_id), labels)
        assert ids(await replicas(cluster)) == set()
        assert not await cluster.confirm(DEPLOYMENT, shown)
        assert ids(await replicas(cluster)) == set()
