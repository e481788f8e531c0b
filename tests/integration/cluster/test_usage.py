"""What a replica on this machine uses: all of its processes, and its memory without what is only cached."""

import asyncio
import os
import shlex
import sys
import threading
from pathlib import Path

import pytest

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.local.record import Record
from libs.common.cluster.local.shim import proc
from libs.common.cluster.local.usage import Meter, Running, memory_of, used_since
from libs.common.cluster.usage import UsedGpu
from libs.common.gpus.memory import MemoryGpus
from libs.common.machine_types.catalogue import catalogue
from tests.support.clusters import LocalWorld, all_run, run_of, template, workload
from tests.support.polling import PATIENCE_S, eventually, let_others_run, let_time_pass, stand_still

MIB = 1024 * 1024
TYPES, _ = catalogue([{"name": "C4", "cpus": 0.25, "memoryGib": 0.5}])


@pytest.fixture
async def local(tmp_path):
    world = LocalWorld(tmp_path / "replicas")
    world.cluster = LocalCluster(world.root, grace_seconds=5, machine_types=TYPES)
    try:
        yield world
    finally:
        await world.cluster.shutdown(grace_seconds=0)


async def started(world, **kwargs):
    await world.cluster.apply(workload(run_of(1, **kwargs)), fence=1)
    (replica,) = await world.until(all_run(1))
    return replica


async def measured(world):
    (used,) = await world.cluster.usage()
    return used


async def until_measured(world, condition):
    async def holds():
        used = await measured(world)
        return condition(used) and used

    return await eventually(holds)


BURN = f"{sys.executable} -S -c 'while True: pass'"


def burns(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(f"{sys.executable}\0-S\0".encode())
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(f"{BURN} &", id="a child"),
        pytest.param(f"(sh -c '{BURN.replace(chr(39), chr(34))} & wait' &)", id="a grandchild"),
        pytest.param(f"(setsid {BURN} &)", id="an orphan in a session of its own"),
        pytest.param(f"(env -i setsid {BURN} &)", id="an orphan without our environment"),
    ],
)
async def test_every_process_of_a_replica_counts(local, order):
    replica = await started(local)
    await local.tell(replica.replica_id, order)
    used = await until_measured(local, lambda used: (used.cpu_cores or 0) > 0.05)
    assert used.cpu_cores <= used.most_cpus * 1.05
    assert (used.cpus, used.memory_gib) == (0.25, 0.5)


async def test_a_stall_between_two_reads_makes_no_use_that_is_impossible(tmp_path):
    """Others have a turn before the burning one is measured, and one of them takes a second for it."""
    burning = await asyncio.create_subprocess_exec(*shlex.split(BURN))
    try:
        await eventually(lambda: burns(burning.pid))
        gone = [running(tmp_path, f"gone-{number}", pid=2**22 + 1) for number in range(100)]
        replicas = [*gone, running(tmp_path, "burning", pid=burning.pid)]
        meter = Meter(utc_now)

        first = asyncio.ensure_future(meter.measure(replicas))
        while not first.done():
            # The last time, the counters are read already.
            stalled_at = monotonic()
            stand_still(1)
            await let_others_run(1)
        await let_time_pass(1)
        again_at = monotonic()
        (used,) = await meter.measure(replicas)
        assert used.window_s >= again_at - stalled_at
        assert 0 < used.cpu_cores <= 1.05
    finally:
        burning.kill()
        await burning.wait()


async def test_others_go_on_while_the_kernel_is_asked_for_memory(tmp_path):
    """What is mapped a million times takes it seconds."""
    others_went_on = threading.Event()

    def after_others(_):
        assert others_went_on.wait(PATIENCE_S)
        return 7

    meter = Meter(utc_now, read_memory=after_others)
    measuring = asyncio.ensure_future(meter.measure([running(tmp_path, "this-one", pid=os.getpid())]))
    asyncio.get_running_loop().call_later(0.1, others_went_on.set)
    (used,) = await measuring
    assert used.memory_bytes == 7


def running(directory, replica_id, *, pid):
    record = Record(
        replica_id=replica_id,
        deployment_id="d",
        run_id="run",
        spec_id="spec",
        template=template(),
        order=1,
        created_at=utc_now(),
        traceparent=None,
        path="",
        grace_s=1,
    )
    return Running(record, directory, 0, pid, None)


async def test_what_a_child_used_that_has_ended_counts(local):
    replica = await started(local)
    begin = monotonic()
    await until_measured(local, lambda used: used.cpu_cores is not None)
    await local.tell(
        replica.replica_id,
        f"{sys.executable} -S -c 'import time; all(iter(lambda: time.process_time() < 1, 0))'; echo >over",
    )
    over = next(local.root.glob("deployments/*/*/cwd")) / "over"
    total = 0.0
    last = 0.0

    async def is_counted():
        nonlocal total, last
        used = await measured(local)
        if used.ended_at > last:
            last = used.ended_at
            total += (used.cpu_cores or 0) * used.window_s
        return over.exists() and total >= 0.95

    await eventually(is_counted)
    assert total < 3 + (monotonic() - begin) * 0.1


async def test_what_ended_and_is_collected_only_later_is_not_counted_in_the_moment_of_that(local):
    script = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    while time.process_time() < 3: pass\n"
        "    os._exit(0)\n"
        "os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)\n"
        "open('ended', 'w').close()\n"
        "while not os.path.exists('collect'): time.sleep(0.01)\n"
        "os.wait()\n"
        "open('collected', 'w').close()\n"
        "time.sleep(3600)\n"
    )
    await started(local, of=template(sys.executable, "-S", "-c", script))
    cwd = next(local.root.glob("deployments/*/*/cwd"))
    await eventually((cwd / "ended").exists)

    async def next_one(after):
        return await until_measured(local, lambda used: used.cpu_cores is not None and used.ended_at > after)

    ended = await next_one((await measured(local)).ended_at)
    (cwd / "collect").touch()
    await eventually((cwd / "collected").exists)
    collected = await next_one(ended.ended_at)
    assert collected.cpu_cores * collected.window_s < 1


@pytest.mark.parametrize(
    ("before", "missing", "now", "used"),
    [
        pytest.param(100, 0, 130, 30, id="more"),
        pytest.param(100, 0, 100, 0, id="nothing"),
        pytest.param(100, 0, 60, None, id="some of it is missing"),
        pytest.param(60, 40, 110, None, id="it may have come back"),
        pytest.param(60, 40, 90, 30, id="it has not come back"),
    ],
)
def test_what_is_missing_at_one_look_is_not_used_by_the_next(before, missing, now, used):
    assert used_since(before, missing, now) == used


async def test_memory_is_what_it_holds_and_not_what_is_cached(local):
    script = (
        "import os, time, mmap\n"
        "open('cached', 'wb').write(b'x' * 80_000_000)\n"
        "mapped = mmap.mmap(os.open('cached', os.O_RDONLY), 0, prot=mmap.PROT_READ)\n"
        "sum(mapped[::4096])\n"
        "held = bytearray(b'y' * 60_000_000)\n"
        "open('held', 'w').close()\n"
        "time.sleep(3600)\n"
    )
    await started(local, of=template(sys.executable, "-S", "-c", script))
    marker = next(local.root.glob("deployments/*/*/cwd")) / "held"
    await eventually(marker.exists)
    used = await measured(local)
    assert 60_000_000 <= used.memory_bytes < 75_000_000


async def test_what_processes_share_counts_once(local):
    script = (
        "import os, time\n"
        "held = bytearray(b'y' * 60_000_000)\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(3600)\n"
        "open('held', 'w').close()\n"
        "time.sleep(3600)\n"
    )
    await started(local, of=template(sys.executable, "-S", "-c", script))
    marker = next(local.root.glob("deployments/*/*/cwd")) / "held"
    await eventually(marker.exists)
    used = await measured(local)
    assert 60_000_000 <= used.memory_bytes < 90_000_000


async def test_a_replica_of_an_earlier_version_says_nothing_of_its_machine(tmp_path):
    world = LocalWorld(tmp_path / "replicas")
    try:
        await started(world)
        used = await measured(world)
        assert (used.cpus, used.memory_gib) == (None, None)
        assert used.memory_bytes > 0
    finally:
        await world.cluster.shutdown(grace_seconds=0)


def test_the_memory_of_what_is_gone_is_unknown():
    assert memory_of([2**22 + 1]) is None


async def test_gpus_count_for_the_replica_whose_tree_has_their_processes(tmp_path):
    gpus = MemoryGpus(memory_bytes=(16 * 1024 * MIB, 16 * 1024 * MIB))
    world = LocalWorld(tmp_path / "replicas")
    world.cluster = LocalCluster(world.root, grace_seconds=5, machine_types=TYPES, gpus=gpus)
    try:
        await world.cluster.apply(workload(run_of(2)), fence=1)
        await world.until(all_run(2))
        one, other = (used.replica_id for used in await world.cluster.usage())
        await world.tell(one, f"(sh -c '{BURN.replace(chr(39), chr(34))} & wait' &)")

        def of_the_busy_one():
            """Its shell, the other shell and what that runs; one more of them may be just ending."""
            found = proc.carriers({one})
            return found if len(found) == 3 and any(map(burns, found)) else None

        mine = await eventually(of_the_busy_one)
        for pid in mine:
            gpus.use(pid, gpu=1, utilization_percent=20, memory_bytes=100 * MIB)
        gpus.use(1, gpu=0, utilization_percent=99, memory_bytes=MIB)

        async def is_told():
            found = {used.replica_id: used for used in await world.cluster.usage()}
            return found[one].gpus and found

        found = await eventually(is_told)
        expected = UsedGpu(1, 20.0 * len(mine), 100 * MIB * len(mine), 16 * 1024 * MIB)
        assert found[one].gpus == (expected,)
        assert found[other].gpus == ()
    finally:
        await world.cluster.shutdown(grace_seconds=0)
