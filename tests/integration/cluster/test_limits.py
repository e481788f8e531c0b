"""The CPU and memory of a replica are limits where we may make cgroups, and it is said where not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.local.shim import limits
from libs.common.cluster.local.shim.confine import NO_MOUNTS, notices
from libs.common.cluster.local.shim.limits import Cgroup, NoLimits, place
from libs.common.errors import ClusterUnavailable
from libs.common.ids import new_id
from libs.common.machine_types.catalogue import MachineType
from tests.support.clusters import DEPLOYMENT, LocalWorld, all_run, run_of, template, workload
from tests.support.log_lines import read_lines
from tests.support.polling import eventually

SMALL = MachineType.model_validate({"name": "C4", "cpus": 0.25, "memoryGib": 0.0625})

V2 = next(
    (one for one in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") if Path(one, "cgroup.controllers").exists()),
    "",
)
"""Where this machine has cgroup v2, if only beside v1 and so without controllers."""

needs_v2 = pytest.mark.skipif(
    not V2 or not os.access(f"{V2}/cgroup.procs", os.W_OK), reason="no cgroup v2 that this user may divide"
)
needs_limits = pytest.mark.skipif(not limits.tried()[0], reason=limits.tried()[1] or "limits can be had")


@pytest.fixture
def folder():
    made = place(V2, own="/", controllers=())
    yield made
    for path in sorted(Path(made).iterdir(), reverse=True):
        if path.is_dir():
            path.rmdir()
    Path(made).rmdir()


@needs_v2
def test_a_process_is_in_the_cgroup_that_it_enters(folder):
    cgroup = Cgroup(folder, new_id(), controllers=())
    cgroup.make()
    entrance = cgroup.open()
    enter = f"import os; os.write({entrance}, b'0'); input()"
    with subprocess.Popen([sys.executable, "-c", enter], stdin=-1, pass_fds=[entrance]) as child:
        os.close(entrance)
        while not cgroup.has(child.pid):
            assert child.poll() is None
        cgroup.remove()
        assert Path(cgroup.path).exists(), "a process is left in it"
        child.communicate(b"\n")
    cgroup.remove()
    assert not Path(cgroup.path).exists()
    cgroup.remove()


def test_threads_are_limited_where_the_kernel_counts_them(tmp_path):
    """The files of a cgroup as the kernel shows them, since few machines lend their controllers to a test."""

    def folder(name: str, controllers: str) -> Path:
        made = tmp_path / name
        (made / "r1").mkdir(parents=True)
        (made / "cgroup.controllers").write_text(f"{controllers}\n")
        (made / "cgroup.subtree_control").write_text("")
        for limit in ("cpu.max", "memory.max", "memory.oom.group", "pids.max"):
            if limit.partition(".")[0] in controllers:
                (made / "r1" / limit).write_text("")
        return made

    counting, without = folder("counting", "cpu memory pids"), folder("without", "cpu memory")
    for each in (counting, without):
        Cgroup(str(each), "r1", cpus=1, memory_bytes=1 << 30).make()
        assert (each / "r1/memory.max").read_text() == str(1 << 30)
    assert (counting / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (counting / "r1/pids.max").read_text() == str(limits.MOST_THREADS)
    assert (without / "cgroup.subtree_control").read_text() == "+cpu +memory"


async def test_a_replica_whose_cgroup_cannot_be_made_again_runs_and_its_shim_says_so(tmp_path):
    """As when the machine was started again, and the platform with fewer rights."""
    world = LocalWorld(tmp_path / "home/replicas")
    without_shims = LocalCluster(world.root, grace_seconds=5, python="/bin/false")
    with pytest.raises(ClusterUnavailable):
        await without_shims.apply(workload(run_of(1)), fence=1)
    record = next(world.root.glob("deployments/*/*/record.json"))
    stored = json.loads(record.read_text())
    stored |= {"cgroups": "/proc/specstream", "cpus": 1.0, "memory_gib": 1.0}
    record.write_text(json.dumps(stored))
    try:
        await world.until(all_run(1))
        assert "its CPU and memory are not limited" in (record.parent / "shim.err").read_text()
    finally:
        await world.cluster.shutdown(grace_seconds=0)


@needs_limits
async def test_a_replica_has_the_cpu_and_memory_of_its_machine_type(tmp_path):
    world = LocalWorld(tmp_path / "home/replicas")
    world.cluster = LocalCluster(world.root, grace_seconds=5, machine_types={"C4": SMALL})
    greedy = template(sys.executable, "-c", "x = bytearray(512 << 20); print('has it', flush=True)")
    try:
        await world.cluster.apply(workload(run_of(1, of=greedy)), fence=1)
        (killed,) = await world.until(lambda shown: shown and shown[0].last_exit is not None and shown)
        assert killed.last_exit.signal == 9
        assert await read_lines(world.cluster, DEPLOYMENT) == []
        path = Path(limits.tried()[0], killed.replica_id)
        assert (path / "cpu.max").read_text() == "25000 100000\n"
        assert (path / "memory.max").read_text() == f"{64 << 20}\n"
        await world.cluster.remove(DEPLOYMENT, fence=2)
        await world.until_gone()
        await eventually(lambda: not path.exists())
    finally:
        await world.cluster.shutdown(grace_seconds=0)


@pytest.mark.skipif(NO_MOUNTS in notices(), reason="no mount namespaces here")
@pytest.mark.parametrize(
    ("machine", "room"),
    [
        pytest.param(SMALL, 64 << 20, id="as much as its memory"),
        pytest.param(SMALL.model_copy(update={"shm_gib": 1 / 64}), 16 << 20, id="what its machine type says"),
    ],
)
async def test_shared_memory_has_room_for(tmp_path, machine: MachineType, room: int):
    """Also where its memory is not limited: no replica fills the machine's memory with files."""
    world = LocalWorld(tmp_path / "home/replicas")
    world.cluster = LocalCluster(world.root, grace_seconds=5, machine_types={"C4": machine})
    code = "import os; room = os.statvfs('/dev/shm'); print(room.f_blocks * room.f_frsize, flush=True)"
    asking = template(sys.executable, "-c", f"{code}; input()")

    async def lines() -> list[str]:
        return [line.message for line in await read_lines(world.cluster, DEPLOYMENT)]

    try:
        await world.cluster.apply(workload(run_of(1, of=asking)), fence=1)
        (told, *_) = await eventually(lines)
        assert told == str(room)
    finally:
        await world.cluster.shutdown(grace_seconds=0)


def a_tree(root: Path, **subtrees: str) -> str:
    for cgroup, controllers in subtrees.items():
        path = root / cgroup.replace("__", "/").strip("/")
        path.mkdir(parents=True, exist_ok=True)
        (path / "cgroup.subtree_control").write_text(controllers)
        (path / "cgroup.procs").write_text("")
    (root / "cgroup.controllers").write_text("cpu memory")
    return str(root)


def test_the_nearest_cgroup_above_that_has_both_controllers_is_divided(tmp_path):
    mount = a_tree(tmp_path, user="cpu memory pids", user__session="memory", user__session__shell="")
    with pytest.raises(NoLimits, match=rf"the cgroup {mount}/user cannot be divided"):
        place(mount, own="/user/session/shell")


def test_without_such_a_cgroup_or_without_v2_it_is_said(tmp_path):
    with pytest.raises(NoLimits, match="no cgroup v2"):
        place(str(tmp_path))
    mount = a_tree(tmp_path, user="memory", user__session="cpu")
    with pytest.raises(NoLimits, match="no cgroup above ours is given to us to divide with cpu and memory"):
        place(mount, own="/user/session")
