"""Ending every replica of a home."""

import pytest

from libs.common.cluster.local.cluster import LocalCluster
from tests.support.clusters import DEPLOYMENT, all_run, run_of, template, workload
from tests.support.log_lines import read_lines
from tests.support.polling import eventually
from tests.support.processes import kill, main_pid, pids_below, shim_pids


async def started(world, number=1, *, of=None, deployment_id=DEPLOYMENT):
    await world.cluster.apply(workload(run_of(number, of=of), deployment_id=deployment_id), fence=1)
    return await world.until(all_run(number))


async def test_nothing_is_left_and_the_workloads_stay(local_world):
    before = await started(local_world, 2)
    await local_world.cluster.apply(workload(run_of(1), deployment_id="other"), fence=4)
    await LocalCluster(local_world.root).shutdown(grace_seconds=5)

    assert pids_below(local_world.root) == []
    shown = await local_world.cluster.observe()
    assert {each: (w.fence, w.replicas) for each, w in shown.items()} == {
        DEPLOYMENT: (1, ()),
        "other": (4, ()),
    }

    after = await started(local_world, 2)
    assert {replica.replica_id for replica in after}.isdisjoint(replica.replica_id for replica in before)


async def test_what_ignores_sigterm_is_killed_after_the_grace_period(local_world):
    await started(local_world, of=template("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"))

    async def ignores():
        return [line.message for line in await read_lines(local_world.cluster, DEPLOYMENT)] == ["ready"]

    await eventually(ignores)
    await local_world.cluster.shutdown(grace_seconds=0.2)
    assert pids_below(local_world.root) == []


async def test_replicas_whose_shims_are_dead_end_too(local_world):
    await started(local_world, 3)
    for pid in shim_pids(local_world.root):
        kill(pid)
    await LocalCluster(local_world.root).shutdown(grace_seconds=5)
    assert pids_below(local_world.root) == []


@pytest.mark.parametrize("status", [0, 1])
async def test_replicas_that_wait_for_their_restart_end_too(local_world, status):
    (replica,) = await started(local_world)
    await local_world.exit(replica.replica_id, status=status)
    await local_world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)
    await local_world.exit(replica.replica_id, status=status)
    await local_world.until(lambda shown: shown[0].restart_at is not None)
    await local_world.cluster.shutdown(grace_seconds=5)
    assert pids_below(local_world.root) == []
    assert (await local_world.cluster.observe())[DEPLOYMENT].replicas == ()


async def test_a_home_without_replicas_is_shut_down_at_once(local_world):
    await local_world.cluster.shutdown()
    assert await local_world.cluster.observe() == {}


async def test_another_home_goes_on(local_world, tmp_path):
    other = LocalCluster(tmp_path / "other")
    try:
        await other.apply(workload(run_of(1)), fence=1)
        (replica,) = (await other.observe())[DEPLOYMENT].replicas
        await started(local_world)
        await local_world.cluster.shutdown()
        assert await main_pid(replica.replica_id)
    finally:
        await other.shutdown(grace_seconds=0)
