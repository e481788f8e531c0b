"""How shims and replicas are started: by a process that forks, and in turn."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.local.shim import proc
from libs.common.cluster.local.shim.turns import turns
from libs.common.cluster.port import ReplicaPhase
from tests.support.clusters import DEPLOYMENT, LocalWorld, all_run, replicas, run_of, template, workload
from tests.support.executables import an_executable
from tests.support.polling import eventually
from tests.support.processes import is_alive, kill, main_pid, parent, shim_pids

TURNS = turns()


def starters(session: int) -> list[int]:
    """What still runs of the session in which a starter was started; its shims have sessions of their own."""
    return [pid for pid in proc.pids() if is_alive(pid) and _session(pid) == session]


async def the_starter(session: int) -> int:
    """Alone in its session: what it starts leaves it a moment later."""
    await eventually(lambda: len(starters(session)) == 1)
    (starter,) = starters(session)
    return starter


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


@pytest.fixture
def sessions(local_world: LocalWorld, tmp_path: Path) -> Path:
    """A file with a line for each starter of the cluster: the number of its session."""
    told = tmp_path / "sessions"
    told.touch()
    python = an_executable(tmp_path / "python", f"echo $$ >> {told}", f'exec {sys.executable} "$@"')
    local_world.cluster = LocalCluster(local_world.root, grace_seconds=5, python=python)
    return told


async def started(world: LocalWorld, number: int, *, fence: int) -> None:
    """Until so many run their command: before, a replica's process looks like its shim."""
    await world.cluster.apply(workload(run_of(number)), fence=fence)
    for each in await world.until(all_run(number)):
        await main_pid(each.replica_id)


def lines(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()]


async def test_one_process_starts_every_shim_and_none_is_its_child(local_world, sessions):
    await started(local_world, 3, fence=1)
    await started(local_world, 5, fence=2)
    (session,) = lines(sessions)
    starter = await the_starter(session)
    shims = shim_pids(local_world.root)
    assert len(shims) == 5
    assert starter not in {parent(shim) for shim in shims}
    assert session not in {_session(shim) for shim in shims}
    assert len({_session(shim) for shim in shims}) == 5


async def test_a_starter_that_was_killed_is_replaced_and_its_shims_go_on(local_world, sessions):
    await started(local_world, 1, fence=1)
    before = shim_pids(local_world.root)
    starter = await the_starter(lines(sessions)[0])
    kill(starter)
    await eventually(lambda: not is_alive(starter))

    await started(local_world, 2, fence=2)
    assert set(before) < set(shim_pids(local_world.root))
    assert len(lines(sessions)) == 2


async def test_a_starter_ends_with_its_cluster_and_its_shims_do_not(local_world, sessions):
    await started(local_world, 1, fence=1)
    (session,) = lines(sessions)
    local_world.cluster = LocalCluster(local_world.root, grace_seconds=5)
    await eventually(lambda: not starters(session), because="the starter outlives its cluster")
    assert len(shim_pids(local_world.root)) == 1
    assert all_run(1)(await replicas(local_world.cluster))


async def test_a_python_that_does_not_run_is_told(local_world, tmp_path):
    broken = an_executable(tmp_path / "python", "echo no such thing >&2", "exit 1")
    cluster = LocalCluster(local_world.root, grace_seconds=5, python=broken)
    with pytest.raises(Exception, match=r"no shim for replica .* see .*/shim\.err"):
        await cluster.apply(workload(run_of(1)), fence=1)
    (errors,) = local_world.root.glob("deployments/*/*/shim.err")
    assert errors.read_text() == "no such thing\n"


@contextmanager
def every_turn_taken(world: LocalWorld) -> Iterator[None]:
    folder = world.root / "deployments" / DEPLOYMENT
    folder.mkdir(mode=0o700)
    taken = [(folder / f"starting.{number}").open("w") for number in range(TURNS)]
    try:
        for each in taken:
            fcntl.flock(each, fcntl.LOCK_EX)
        yield
    finally:
        for each in taken:
            each.close()


async def test_a_replica_waits_for_its_turn(local_world):
    with every_turn_taken(local_world):
        await local_world.cluster.apply(workload(run_of(1)), fence=1)
        (waiting,) = await replicas(local_world.cluster)
        assert waiting.phase is ReplicaPhase.PENDING
        await eventually(
            lambda: len(shim_pids(local_world.root)) == 1, because="what starts the shim is there"
        )
        assert (await replicas(local_world.cluster))[0].phase is ReplicaPhase.PENDING
    await local_world.until(all_run(1))


async def test_a_replica_that_is_stopped_before_its_turn_never_runs(local_world):
    with every_turn_taken(local_world):
        await local_world.cluster.apply(workload(run_of(1)), fence=1)
        (waiting,) = await replicas(local_world.cluster)
        leaving = [waiting.replica_id]
        await local_world.cluster.apply(workload(retiring=leaving, stopping=leaving), fence=2)
    await local_world.until(lambda shown: not shown)
    (gone,) = local_world.root.glob(f"deployments/*/gone/*{waiting.replica_id}")
    assert not (gone / "state.json").exists()
    assert not (gone / "cwd" / ".tmp").exists()


BUSY = "import os, time\nprint('runs', flush=True)\nwhile True: pass"


async def test_one_that_never_rests_keeps_its_turn_for_a_while_only(local_world):
    """One more than there are turns, and none of them ever waits for anything."""
    of = template(sys.executable, "-c", BUSY)
    await local_world.cluster.apply(workload(run_of(TURNS + 1, of=of)), fence=1)
    shown = await local_world.until(all_run(TURNS + 1))
    assert len({await main_pid(each.replica_id) for each in shown}) == TURNS + 1
