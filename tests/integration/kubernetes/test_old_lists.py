"""What is known from a list alone is asked for, of a real API server, before anybody rests on it."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.events.envelope import select
from libs.common.log.memory import MemoryLog
from libs.common.machine_types.reading import bundled
from libs.common.runtime import Progress
from libs.common.state.view import Views
from services.health.loop import Watch
from services.health.prober import Prober
from services.health.records import Records
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


async def is_news(cluster, replica_ids):
    """Whether something else is shown of them, once that is sure."""
    seen = (await cluster.observe(DEPLOYMENT)).get(DEPLOYMENT)
    return await cluster.confirm(DEPLOYMENT, replica_ids, seen)


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
        assert await is_news(cluster, present | {gone})
        assert ids(await replicas(cluster)) == present
        proxy.reads.clear()
        assert not await is_news(cluster, present | {gone})
        assert not {"GET pods", "GET configmaps"} & set(proxy.reads)

        go_on.set()
        await kubernetes_world.cluster.apply(workload(run_of(3)), fence=3)
        after = ids(await kubernetes_world.until(all_run(3)))

        async def is_shown():
            await is_news(cluster, after | {gone})
            return ids(await replicas(cluster)) == after

        await eventually(is_shown)


async def test_an_old_list_in_the_middle_is_no_restored_backup(kubernetes_world, proxy):
    """A server that knows less than it did may be one that was restored, or one that answers from a cache."""
    await kubernetes_world.cluster.apply(workload(run_of(2)), fence=1)
    await kubernetes_world.until(all_run(2))
    lists = OldLists(kubernetes_world.client, kubernetes_world.namespace)
    await asyncio.to_thread(lists.remember)
    async with started_anew(kubernetes_world, proxy) as cluster:
        old = await cluster.observe(DEPLOYMENT)
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

        async def is_old():
            # By both lists: the plan tells the one of anchors, and who is there the one of pods.
            return await cluster.observe(DEPLOYMENT) == old

        await eventually(is_old)
        assert await is_news(cluster, present | {gone})
        assert await is_there()
        go_on.set()


async def test_what_an_old_list_lacks_is_not_made_once_more(kubernetes_world, proxy):
    """Of a plan that was carried out by somebody who died before saying so, and is now anew."""
    lists = OldLists(kubernetes_world.client, kubernetes_world.namespace)
    await asyncio.to_thread(lists.remember)
    await kubernetes_world.cluster.apply(workload(run_of(2)), fence=1)
    present = ids(await kubernetes_world.until(all_run(2)))
    is_over = asyncio.Event()
    for resource in ("pods", "configmaps"):
        lists.left[resource] = 1
        proxy.on("WATCH", resource, hold(asyncio.Event(), is_over), times=100)
        proxy.on("GET", resource, lists.fault, times=100)
    async with started_anew(kubernetes_world, proxy) as cluster:
        assert await replicas(cluster) == ()
        await cluster.apply(workload(run_of(2)), fence=1)
        is_over.set()
        assert ids(await replicas(cluster)) == present
    assert ids(await kubernetes_world.until(all_run(2))) == present
    assert not [one for one in proxy.writes if "pods" in one]


async def test_what_a_watch_has_told_is_not_asked_for(kubernetes_world, proxy):
    async with started_anew(kubernetes_world, proxy) as cluster:
        assert await replicas(cluster) == ()
        await kubernetes_world.cluster.apply(workload(run_of(2)), fence=1)
        shown = ids(await kubernetes_world.until(all_run(2)))

        async def shows(wanted):
            return ids(await replicas(cluster)) == wanted

        await eventually(lambda: shows(shown))
        proxy.reads.clear()
        assert not await is_news(cluster, shown)
        gone = min(shown)
        await asyncio.to_thread(kubernetes_world.client.delete, kubernetes_world.pod_path(gone))
        await eventually(lambda: shows(shown - {gone}))
        assert not await is_news(cluster, shown)
        assert "GET pods" not in proxy.reads


async def test_a_replica_of_a_list_that_was_true_is_asked_for_once(kubernetes_world, proxy):
    await kubernetes_world.cluster.apply(workload(run_of(2)), fence=1)
    shown = ids(await kubernetes_world.until(all_run(2)))
    async with started_anew(kubernetes_world, proxy) as cluster:
        assert ids(await replicas(cluster)) == shown
        proxy.reads.clear()
        for _ in range(2):
            assert not await is_news(cluster, shown)
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
        assert not await is_news(cluster, shown)
        assert ids(await replicas(cluster)) == set()


class Dawdling:
    """The cluster of somebody who looks at all deployments, and comes to the first of them only later."""

    def __init__(self, cluster, meanwhile):
        self._cluster = cluster
        self._meanwhile = meanwhile

    def __getattr__(self, name):
        return getattr(self._cluster, name)

    async def observe(self, deployment_id=None):
        found = await self._cluster.observe(deployment_id)
        if deployment_id is None:
            await self._meanwhile()
        return found


def health(cluster, records):
    return Watch(cluster, records, Prober(), progress=Progress(), clock=utc_now, ticks=monotonic)


async def told(log):
    return [f"{event.sequence} {event.type} {event.fact}" async for event in log.read(select())]


@pytest.mark.parametrize("change", ["one more", "one less"])
async def test_what_was_seen_before_it_was_sure_is_looked_at_again(kubernetes_world, proxy, change):
    number = 1 if change == "one more" else 2
    await kubernetes_world.cluster.apply(workload(run_of(number)), fence=1)
    first = await kubernetes_world.until(all_run(number))
    lists = OldLists(kubernetes_world.client, kubernetes_world.namespace)
    await asyncio.to_thread(lists.remember)
    leaving = [first[0].replica_id] if change == "one less" else []
    wanted = 3 - number
    await kubernetes_world.cluster.apply(
        workload(run_of(wanted), retiring=leaving, stopping=leaving), fence=2
    )
    present = ids(await kubernetes_world.until(all_run(wanted)))
    log = MemoryLog(utc_now)
    records = Records(log, Views())

    async def are_all_told():
        await health(kubernetes_world.cluster, records).observe()
        return {one.replica_id: one.state for one in records.roster(DEPLOYMENT).replicas} == dict.fromkeys(
            present, "running"
        )

    await eventually(are_all_told)
    before_it = await told(log)

    # Health starts anew beside a server whose lists are old. Its watches tell the rest a little later.
    go_on = asyncio.Event()
    for resource in ("pods", "configmaps"):
        proxy.on("WATCH", resource, hold(asyncio.Event(), go_on), times=100)
        proxy.on("GET", resource, lists.fault, times=100)
        lists.left[resource] = 1
    async with started_anew(kubernetes_world, proxy) as cluster:

        async def is_shown():
            return ids(await replicas(cluster)) == present

        async def catch_up():
            assert not await is_shown()
            go_on.set()
            await eventually(is_shown)

        anew = health(Dawdling(cluster, catch_up), records)
        await anew.observe()
        await anew.observe_one(DEPLOYMENT)
    assert await told(log) == before_it
