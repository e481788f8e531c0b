"""Every cluster tells which deployments changed, so that nobody has to look at all of them all the time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from libs.common.clock import utc_now
from libs.common.cluster.changed import Changed
from libs.common.cluster.local import journal
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.local.watching import BRISK_S, CALM_S
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import Cluster
from libs.common.errors import ClusterUnavailable
from tests.support.clusters import DEPLOYMENT, all_run, replicas, run_of, workload
from tests.support.polling import eventually, let_time_pass
from tests.support.processes import kill, main_pid, parent

OTHER = "e" * 32


class Heard:
    """What a watch has said so far. everything: how often it was that anything may have changed."""

    def __init__(self) -> None:
        self.deployment_ids: list[str] = []
        self.everything = 0

    def take(self, changed: Changed) -> None:
        self.deployment_ids += sorted(changed.deployment_ids)
        self.everything += changed.everything

    async def hear(self, deployment_id: str = DEPLOYMENT) -> None:
        await eventually(lambda: deployment_id in self.deployment_ids)
        self.deployment_ids.clear()

    async def grow_quiet(self) -> None:
        """Until nothing was said for three looks in a row."""

        async def is_quiet() -> bool:
            self.deployment_ids.clear()
            await let_time_pass(3 * CALM_S)
            return not self.deployment_ids

        await eventually(is_quiet)


@asynccontextmanager
async def watching(cluster: Cluster) -> AsyncIterator[Heard]:
    heard = Heard()

    async def listen() -> None:
        async for changed in cluster.watch():
            heard.take(changed)

    listening = asyncio.ensure_future(listen())
    try:
        await eventually(lambda: heard.everything)
        yield heard
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_it_begins_with_everything(world):
    await world.cluster.apply(workload(run_of(1)), fence=1)
    async with watching(world.cluster) as heard:
        assert heard.everything == 1


async def test_a_first_plan_is_told(world):
    async with watching(world.cluster) as heard:
        await world.cluster.apply(workload(), fence=1)
        await heard.hear()
        await world.cluster.apply(workload(run_of(1)), fence=2)
        await heard.hear()
        await world.until(all_run(1))


async def test_the_start_and_the_end_of_a_process_are_told(world):
    await world.cluster.apply(workload(run_of(1)), fence=1)
    (first,) = await world.until(all_run(1))
    async with watching(world.cluster) as heard:
        await heard.grow_quiet()
        await world.exit(first.replica_id, status=1)
        await heard.hear()
        (again,) = await world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)
        await heard.grow_quiet()
        if world.cluster.abilities.restarts:
            await world.cluster.restart(DEPLOYMENT, again.replica_id, attempt=1)
        else:
            await world.exit(again.replica_id, status=1)
        await heard.hear()


async def test_the_end_for_good_is_told_and_a_removal(world):
    await world.cluster.apply(workload(run_of(2)), fence=1)
    leaving = [replica.replica_id for replica in await world.until(all_run(2))][:1]
    async with watching(world.cluster) as heard:
        await heard.grow_quiet()
        await world.cluster.apply(workload(run_of(1), retiring=leaving, stopping=leaving), fence=2)
        await heard.hear()
        await world.until(all_run(1))
        await heard.grow_quiet()
        await world.cluster.remove(DEPLOYMENT, fence=3)
        await heard.hear()
        await world.until_gone()


async def test_what_does_not_change_is_not_told(world):
    for deployment_id in (DEPLOYMENT, OTHER):
        await world.cluster.apply(workload(run_of(1), deployment_id=deployment_id), fence=1)
    await world.until(all_run(1))
    async with watching(world.cluster) as heard:
        await heard.grow_quiet()
        await world.cluster.apply(workload(run_of(1), deployment_id=OTHER), fence=2)
        await eventually(lambda: OTHER in heard.deployment_ids)
        assert DEPLOYMENT not in heard.deployment_ids
        assert heard.everything == 1


async def test_two_may_watch(world):
    async with watching(world.cluster) as one, watching(world.cluster) as two:
        await world.cluster.apply(workload(run_of(1)), fence=1)
        await one.hear()
        await two.hear()


async def test_a_cluster_that_cannot_be_asked_says_so():
    cluster = MemoryCluster(utc_now)
    cluster.is_available = False
    with pytest.raises(ClusterUnavailable):
        await anext(cluster.watch())


# The local cluster alone.


async def test_what_another_process_applies_is_told(local_world):
    async with watching(local_world.cluster) as heard:
        await LocalCluster(local_world.root).apply(workload(run_of(1)), fence=1)
        await heard.hear()
        await local_world.until(all_run(1))


async def test_a_replica_that_lost_its_shim_is_told(local_world):
    await local_world.cluster.apply(workload(run_of(1)), fence=1)
    (replica,) = await local_world.until(all_run(1))
    async with watching(local_world.cluster) as heard:
        await heard.grow_quiet()
        shim = parent(await main_pid(replica.replica_id))
        assert shim is not None
        kill(shim)
        await heard.hear()
        # Whoever looks then gives it another one.
        await replicas(local_world.cluster)
        await heard.grow_quiet()


async def test_a_journal_that_grew_too_long_is_begun_anew_and_everything_looked_at(local_world, monkeypatch):
    monkeypatch.setattr(journal, "LONGEST", 100)
    async with watching(local_world.cluster) as heard:
        for fence in range(1, 5):
            await local_world.cluster.apply(workload(), fence=fence)
        await eventually(lambda: heard.everything == 2)
        await local_world.cluster.apply(workload(), fence=9)
        await heard.hear()
        assert (local_world.root / "changes").stat().st_size <= 100


async def test_a_deployment_without_replicas_is_not_even_looked_at(local_world):
    for number in range(20):
        await local_world.cluster.apply(workload(deployment_id=f"{number:032d}"), fence=1)
    async with watching(local_world.cluster) as heard:
        await heard.grow_quiet()
        # Whatever happens there without `apply` waits for a look at everything.
        for directory in (local_world.root / "deployments").iterdir():
            (directory / "stranger").touch()
        await let_time_pass(2 * BRISK_S)
        assert heard.deployment_ids == []
