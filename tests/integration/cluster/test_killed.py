"""Whatever is killed, and whenever: no replica is lost, doubled or orphaned."""

import asyncio
import signal
import sys

import pytest

from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.local.shim.main import PRESENT
from libs.common.cluster.port import ReplicaPhase
from tests.support.clusters import DEPLOYMENT, all_run, run_of, template, workload
from tests.support.crashing_apply import Point
from tests.support.executables import an_executable
from tests.support.polling import eventually
from tests.support.processes import (
    is_alive,
    kill,
    main_pid,
    parent,
    pids_below,
    shim_pids,
)


async def started(world, number=1, *, fence=1, of=None):
    await world.cluster.apply(workload(run_of(number, of=of)), fence=fence)
    shown = await world.until(all_run(number))
    for replica in shown:
        await main_pid(replica.replica_id)
    return shown


async def without_its_shim(world):
    """Kill the one shim: what is just ending still looks like one."""
    (shim,) = shim_pids(world.root)
    kill(shim)
    await eventually(lambda: not is_alive(shim))


async def until_attended(world, number=1):
    """As many shims look after the replicas as there should be."""

    async def are_there() -> bool:
        await world.cluster.observe()
        return len(shim_pids(world.root)) == number

    await eventually(are_there)


@pytest.mark.parametrize("point", list(Point))
async def test_an_apply_killed_at_any_point_is_made_good_by_the_next(local_world, point):
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.crashing_apply", str(local_world.root), point, "3"
    )
    assert await killed.wait() == -signal.SIGKILL

    shown = await started(local_world, 3)
    pids = {await main_pid(replica.replica_id) for replica in shown}
    await until_attended(local_world, 3)
    assert len(pids) == 3
    await eventually(lambda: len(pids_below(local_world.root)) == 6, because="three shims, three processes")


@pytest.mark.parametrize("point", [Point.REPLICA_RECORDED, Point.PROCESS_RECORDED])
async def test_a_recorded_replica_is_started_also_when_nobody_applies_again(local_world, point):
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.crashing_apply", str(local_world.root), point, "1"
    )
    assert await killed.wait() == -signal.SIGKILL
    await local_world.until(all_run(1))


async def test_a_replica_outlives_its_shim_and_the_next_one_takes_it_over(local_world):
    (replica,) = await started(local_world)
    pid = await main_pid(replica.replica_id)
    await without_its_shim(local_world)

    await until_attended(local_world)
    assert await local_world.until(all_run(1)) == (replica,)
    assert await main_pid(replica.replica_id) == pid

    leaving = [replica.replica_id]
    await local_world.cluster.apply(workload(retiring=leaving, stopping=leaving), fence=2)
    await local_world.until(lambda shown: not shown)
    assert not is_alive(pid)


async def test_every_shim_killed_at_once_loses_no_replica(local_world):
    shown = await started(local_world, 4)
    before = {replica.replica_id: await main_pid(replica.replica_id) for replica in shown}
    shims = shim_pids(local_world.root)
    for pid in shims:
        kill(pid)
    await eventually(lambda: not any(map(is_alive, shims)))
    adopting = LocalCluster(local_world.root)
    await adopting.apply(workload(run_of(4)), fence=1)
    await until_attended(local_world, 4)
    assert await local_world.until(all_run(4)) == shown
    assert {replica_id: await main_pid(replica_id) for replica_id in before} == before


async def test_an_adopted_replica_that_ends_is_started_again_with_its_exit_unknown(local_world):
    (replica,) = await started(local_world)
    await without_its_shim(local_world)
    await until_attended(local_world)
    kill(await main_pid(replica.replica_id))
    (again,) = await local_world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)
    assert again.last_exit.message == "ended; exit status unknown"
    assert again.ports == replica.ports


async def test_an_adopted_replica_can_be_condemned(local_world):
    (replica,) = await started(local_world)
    await without_its_shim(local_world)
    await until_attended(local_world)
    await local_world.cluster.restart(DEPLOYMENT, replica.replica_id, attempt=0)
    await local_world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)


async def test_with_everything_dead_as_after_a_reboot_the_same_replicas_are_started_again(local_world):
    shown = await started(local_world, 2)
    for shim in shim_pids(local_world.root):
        kill(shim)
    for replica in shown:
        kill(await main_pid(replica.replica_id))
    await LocalCluster(local_world.root).apply(workload(run_of(2)), fence=1)
    again = await local_world.until(
        lambda now: all_run(2)(now) and all(replica.attempt == 1 for replica in now)
    )
    assert [replica.replica_id for replica in again] == [replica.replica_id for replica in shown]
    assert len({await main_pid(replica.replica_id) for replica in again}) == 2


async def test_a_dead_replica_without_a_shim_is_shown_as_ended(local_world, tmp_path):
    (replica,) = await started(local_world)
    # By their pids: a process that is just ending has neither arguments nor environment any more, and still
    # holds its files, the replica's lock among them.
    (shim,) = shim_pids(local_world.root)
    pid = await main_pid(replica.replica_id)
    for each in (shim, pid):
        kill(each)
        await eventually(lambda each=each: not is_alive(each), because="it is killed")
    idle = an_executable(
        tmp_path / "idle", "exec 3<&0", f"while read -r _ <&3; do echo {PRESENT}; done &", "exit 0"
    )
    looking = LocalCluster(local_world.root, python=idle)
    (shown,) = (await looking.observe())[DEPLOYMENT].replicas
    assert shown.phase is ReplicaPhase.EXITED
    assert shown.last_exit.message == "ended; exit status unknown"


async def test_two_that_apply_at_once_make_each_replica_once(local_world):
    others = [LocalCluster(local_world.root) for _ in range(4)]
    await asyncio.gather(*(each.apply(workload(run_of(3)), fence=1) for each in others))
    shown = await local_world.until(all_run(3))
    assert len({await main_pid(replica.replica_id) for replica in shown}) == 3


HIDING = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 256)
        os.execve("/bin/sleep", ["sleep", "1000"], {})
    os._exit(0)
time.sleep(1000)
"""


async def test_what_a_replica_left_behind_ends_with_it(local_world):
    await started(local_world, of=template("python", "-c", HIDING))

    def hidden() -> list[int]:
        return [pid for pid in pids_below(local_world.root) if parent(pid) in shim_pids(local_world.root)]

    await eventually(lambda: len(hidden()) == 2, because="the process and the orphan below the shim")
    (replica,) = await local_world.until(all_run(1))
    pid = await main_pid(replica.replica_id)
    orphan = next(each for each in hidden() if each != pid)
    kill(pid)
    await eventually(lambda: not is_alive(orphan))
    await local_world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)


HOLDING = """
import os, time
if os.fork() == 0:
    os.setsid()
    os.execve("/bin/sleep", ["sleep", "1000"], {})
time.sleep(1000)
"""


async def test_what_still_holds_the_lock_after_the_shims_death_ends_before_the_next_start(local_world):
    (replica,) = await started(local_world, of=template("python", "-c", HOLDING))
    await eventually(lambda: len(pids_below(local_world.root)) == 3)
    pid = await main_pid(replica.replica_id)
    ours = {pid, *shim_pids(local_world.root)}
    left = next(each for each in pids_below(local_world.root) if each not in ours)
    kill(shim_pids(local_world.root)[0])
    kill(pid)
    await local_world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)
    assert not is_alive(left)
