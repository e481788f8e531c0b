"""A real API server whose watches tell everything late: nothing missed, repeated or done for what is old."""

import asyncio
from dataclasses import dataclass

import pytest

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.kubernetes.client import Client
from libs.common.cluster.kubernetes.informer import Informer, Kind
from libs.common.errors import Fenced
from tests.integration.kubernetes.test_faults import proxied, settled, started
from tests.support.clusters import replicas, run_of, workload
from tests.support.endless import running
from tests.support.polling import eventually

__all__ = ["proxied"]

LATE_S = 1.5
LABELS = {"test": "late"}
NAMES = ("first", "second", "third")


@dataclass(frozen=True)
class Object:
    name: str
    version: int


def parse(raw):
    return Object(raw["metadata"]["name"], int(raw["metadata"]["resourceVersion"]))


KIND = Kind("configmaps", "test=late", parse)


class Told:
    """What one informer has told, in order, and when. The version of the object before and after each."""

    def __init__(self, kubeconfig, namespace):
        self.client = Client(kubeconfig, namespace, clock=utc_now, ticks=monotonic)
        self.changes, self.at = [], []
        self.informer = Informer(
            self.client, KIND, ticks=monotonic, on_change=self._hear, on_set_back=self._set_back
        )

    def _hear(self, before, after):
        self.changes.append((before and before.version, after and after.version))
        self.at.append(monotonic())

    def _set_back(self):
        raise AssertionError("nothing was set back")


@pytest.fixture
async def told(kubernetes_world, proxied):
    """(what is told at once, what is told late) of some objects of the namespace."""
    _, proxy = proxied
    world = kubernetes_world
    both = [Told(kubeconfig, world.namespace) for kubeconfig in (world.kubeconfig, proxy.kubeconfig)]
    async with running(*(one.informer.run() for one in both)):
        for one in both:
            await one.informer.wait_until_known()
        proxy.watches_are_late_by_s = LATE_S
        yield both
    for one in both:
        await one.client.close()


@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "cut"])
async def test_nothing_is_missed_or_repeated_and_all_of_it_comes_late(
    kubernetes_world, proxied, told, is_cut
):
    _, proxy = proxied
    at_once, late = told
    world = kubernetes_world
    folder = f"/api/v1/namespaces/{world.namespace}/configmaps"
    began = monotonic()
    for name in NAMES:
        made = {"metadata": {"name": name, "labels": LABELS}}
        await asyncio.to_thread(world.client.create, folder, made)
    await eventually(lambda: late.changes)
    for name in NAMES:
        await asyncio.to_thread(world.client.patch, f"{folder}/{name}", {"data": {"is": "changed"}})
    if is_cut:  # with what has not been told yet
        proxy.cut_watches()
    for name in NAMES:
        await asyncio.to_thread(world.client.delete, f"{folder}/{name}")

    def are_gone(one):
        return one.changes and not one.informer.items

    await eventually(lambda: are_gone(at_once) and are_gone(late))
    assert late.changes == at_once.changes
    assert len(late.changes) == 3 * len(NAMES)
    assert late.at[0] >= began + LATE_S
    assert late.at[-1] >= at_once.at[-1]
    # Watched on from what was told last, and not listed anew.
    assert set(proxy.reads[1:]) == {"WATCH configmaps"}


async def test_a_pod_that_is_gone_is_made_anew_once_however_late_that_is_told(kubernetes_world, proxied):
    cluster, proxy = proxied
    await cluster.apply(workload(run_of(2)), fence=1)
    lost, kept = await settled(kubernetes_world, 2)
    proxy.watches_are_late_by_s = LATE_S
    proxy.writes.clear()
    await asyncio.to_thread(kubernetes_world.client.delete, kubernetes_world.pod_path(lost.replica_id))
    # What nobody has told yet is no reason for anything.
    await cluster.apply(workload(run_of(2)), fence=1)

    async def is_told():
        return lost.replica_id not in {one.replica_id for one in await replicas(cluster)}

    await eventually(is_told)
    for _ in range(2):  # the second one before the first one's pod was told of
        await cluster.apply(workload(run_of(2)), fence=1)
    after = await settled(kubernetes_world, 2)
    assert kept.replica_id in {one.replica_id for one in after}
    assert proxy.writes.count("POST pods") == 1


async def test_a_newer_plan_that_is_told_late_is_not_overwritten(kubernetes_world, proxied):
    cluster, proxy = proxied
    await started(kubernetes_world, 1)
    assert len(await replicas(cluster)) == 1
    proxy.watches_are_late_by_s = LATE_S
    proxy.silence_watches()  # however long this takes
    await kubernetes_world.cluster.apply(workload(run_of(3)), fence=3)
    assert len(await replicas(cluster)) == 1
    with pytest.raises(Fenced):
        await cluster.apply(workload(run_of(2)), fence=2)
    proxy.let_watches_speak()
    # What is told from then on is old, but for the last of it.
    await settled(kubernetes_world, 3)
    await kubernetes_world.cluster.apply(workload(run_of(4)), fence=4)
    after = await settled(kubernetes_world, 4)

    async def is_told():
        shown = await replicas(cluster)
        assert len(shown) >= 3
        return shown == after

    await eventually(is_told)
    assert await settled(kubernetes_world, 4) == after
