"""A command that is run in a replica, on every cluster that runs them."""

import pytest

from libs.common.cluster.port import Checked
from libs.common.errors import CannotApply, DeploymentUnavailable
from tests.support.clusters import DEPLOYMENT, all_run, run_of, workload

LONG_S = 60


async def started(world):
    await world.cluster.apply(workload(run_of(1)), fence=1)
    (replica,) = await world.until(all_run(1))
    if world.cluster.abilities.probes_natively:
        with pytest.raises(CannotApply, match="kubelet"):
            await check(world, replica, ["true"])
        pytest.skip("the cluster runs the checks itself")
    return replica


async def check(world, replica, command, *, timeout_s=LONG_S, attempt=None):
    return await world.cluster.run_check(
        DEPLOYMENT,
        replica.replica_id,
        attempt=replica.attempt if attempt is None else attempt,
        command=command,
        timeout_s=timeout_s,
    )


@pytest.mark.parametrize(
    "becomes",
    [
        Checked(status=0),
        Checked(status=0, output="well"),
        Checked(status=3, output="not yet"),
        Checked(signal=9, output="killed"),
    ],
    ids=["success", "with words", "a status", "a signal"],
)
async def test_it_tells_how_the_command_ended_and_what_it_wrote(world, becomes):
    replica = await started(world)
    assert await check(world, replica, world.command(becomes)) == becomes


async def test_a_command_that_takes_too_long_is_ended(world):
    replica = await started(world)
    becomes = Checked(has_timed_out=True)
    assert await check(world, replica, world.command(becomes), timeout_s=1) == becomes


async def test_a_program_that_is_not_there_is_a_fault_of_the_command(world):
    replica = await started(world)
    becomes = Checked(problem="cannot start: 'no-such-program' was not found in PATH")
    assert await check(world, replica, world.command(becomes)) == becomes


async def test_another_process_than_the_one_meant_is_not_checked(world):
    replica = await started(world)
    with pytest.raises(DeploymentUnavailable, match="gone"):
        await check(world, replica, ["true"], attempt=replica.attempt + 1)


async def test_what_is_gone_is_not_checked(world):
    replica = await started(world)
    leaving = [replica.replica_id]
    await world.cluster.apply(workload(retiring=leaving, stopping=leaving), fence=2)
    await world.until(lambda shown: not shown)
    with pytest.raises(DeploymentUnavailable, match="gone"):
        await check(world, replica, ["true"])
