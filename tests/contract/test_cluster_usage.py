"""What every cluster says of what its replicas use."""

import pytest

from libs.common.clock import utc_now
from libs.common.errors import ClusterUnavailable
from tests.support.clusters import DEPLOYMENT, LocalWorld, MemoryWorld, all_run, run_of, workload
from tests.support.polling import eventually

MIB = 1024 * 1024


async def started(world, number=1, *, fence=1):
    await world.cluster.apply(workload(run_of(number)), fence=fence)
    return await world.until(all_run(number))


async def by_replica(world):
    return {used.replica_id: used for used in await world.cluster.usage()}


async def hold_and_burn(world, replica_id):
    """One that works and has some memory."""
    match world:
        case MemoryWorld():
            world.cluster.use(replica_id, cpu_cores=0.5, memory_bytes=50 * MIB)
        case LocalWorld():
            await world.tell(replica_id, "sh -c 'while :; do :; done' &")


@pytest.fixture
def measuring(world):
    """A world whose cluster measures."""
    if not isinstance(world, MemoryWorld | LocalWorld):
        pytest.skip("simulated nodes measure nothing; what real ones do is in integration/kubernetes")
    return world


async def test_where_nobody_measures_that_is_said(world):
    await started(world)
    if isinstance(world, MemoryWorld | LocalWorld):
        await world.cluster.usage()
        return
    with pytest.raises(ClusterUnavailable, match=r"metrics\.k8s\.io"):
        await world.cluster.usage()


async def test_without_replicas_nothing_is_used(measuring):
    assert list(await measuring.cluster.usage()) == []


async def test_a_replica_that_works_is_measured(measuring):
    before = utc_now().timestamp() - 1
    busy, idle = await started(measuring, 2)
    await hold_and_burn(measuring, busy.replica_id)

    async def works():
        found = (await by_replica(measuring)).get(busy.replica_id)
        return found is not None and (found.cpu_cores or 0) > 0.02 and found

    used = await eventually(works)
    assert (used.deployment_id, used.attempt) == (DEPLOYMENT, 0)
    assert before < used.ended_at <= utc_now().timestamp()
    assert used.window_s > 0
    assert used.memory_bytes > 0

    async def uses_more():
        """In one window of time: each of them may have stood still in another one."""
        found = await by_replica(measuring)
        quiet = found.get(idle.replica_id)
        working = found.get(busy.replica_id)
        return working and (quiet is None or (quiet.cpu_cores or 0) < (working.cpu_cores or 0))

    await eventually(uses_more)


async def test_asked_at_once_again_it_gives_the_same_sample(measuring):
    (replica,) = await started(measuring)
    await hold_and_burn(measuring, replica.replica_id)

    async def is_the_same():
        """Where the machine stands still between the two, that was not at once."""
        return await measuring.cluster.usage() == await measuring.cluster.usage()

    await eventually(is_the_same)


async def test_one_that_is_gone_is_not_there(measuring):
    (replica,) = await started(measuring)
    await hold_and_burn(measuring, replica.replica_id)
    await eventually(lambda: by_replica(measuring))
    leaving = [replica.replica_id]
    await measuring.cluster.apply(workload(retiring=leaving, stopping=leaving), fence=2)
    await measuring.until(lambda shown: not shown)
    assert list(await measuring.cluster.usage()) == []


async def test_another_process_of_a_replica_is_measured_anew(measuring):
    (replica,) = await started(measuring)
    await hold_and_burn(measuring, replica.replica_id)
    await eventually(lambda: by_replica(measuring))
    await measuring.exit(replica.replica_id, status=1)
    await measuring.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)
    found = (await by_replica(measuring)).get(replica.replica_id)
    assert found is None or (found.attempt, found.cpu_cores) == (1, None)
