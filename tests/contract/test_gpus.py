"""What every source says of what processes use of the GPUs: the fake everywhere, NVML where a driver is."""

# ruff: noqa: N802 - the library's own names

import asyncio
import itertools
import sys
from types import SimpleNamespace

import pynvml
import pytest

from libs.common.gpus.memory import MemoryGpus
from libs.common.gpus.nvml import DEVICE, Nvml
from libs.common.gpus.port import GpuProcess, Gpus
from tests.support.polling import eventually

MIB = 1024 * 1024


class FakeWorld:
    def __init__(self) -> None:
        self.gpus = MemoryGpus()
        self._pids = itertools.count(1000)

    async def start(self, mib: int, *, works: bool = False) -> int:
        pid = next(self._pids)
        self.gpus.use(pid, utilization_percent=50.0 if works else 0.0, memory_bytes=mib * MIB)
        return pid

    async def end(self, pid: int) -> None:
        self.gpus.end(pid)

    async def close(self) -> None:
        """Nothing runs."""


class NvmlWorld:
    def __init__(self) -> None:
        self.gpus = Nvml()
        self._running: dict[int, asyncio.subprocess.Process] = {}

    async def start(self, mib: int, *, works: bool = False) -> int:
        command = [sys.executable, "-m", "tests.support.gpu_work", str(mib), *(["work"] if works else [])]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        self._running[process.pid] = process
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return process.pid

    async def end(self, pid: int) -> None:
        process = self._running.pop(pid)
        process.kill()
        await process.wait()

    async def close(self) -> None:
        for pid in list(self._running):
            await self.end(pid)


@pytest.fixture(params=["memory", "nvml"])
async def world(request):
    if request.param == "memory":
        made = FakeWorld()
    elif not DEVICE.exists():
        pytest.skip("no NVIDIA driver on this machine")
    else:
        made = NvmlWorld()
        if not is_told_by_process():
            pytest.skip("this machine's driver tells nothing by process")
    try:
        yield made
    finally:
        await made.close()


def is_told_by_process() -> bool:
    """A divided GPU tells nothing."""
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    try:
        return pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_DISABLE
    except pynvml.NVMLError:
        return True


def of(gpus: Gpus, pid: int) -> GpuProcess | None:
    return next((one for one in gpus.processes() if one.pid == pid), None)


async def test_a_process_is_told_with_its_memory_and_what_there_is(world):
    pid = await world.start(512)
    found = await eventually(lambda: of(world.gpus, pid))
    assert found.gpu == 0
    assert 512 * MIB <= found.memory_bytes < found.most_memory_bytes


async def test_one_that_is_idle_uses_nothing_and_one_that_works_something(world):
    idle, busy = await world.start(64), await world.start(64, works=True)
    world.gpus.processes()

    def works():
        one = of(world.gpus, busy)
        return one is not None and (one.utilization_percent or 0) > 0 and one

    found = await eventually(works)
    assert 0 < found.utilization_percent <= 100
    assert of(world.gpus, idle).utilization_percent == 0


async def test_each_process_is_told_apart(world):
    small, large = await world.start(64), await world.start(256)
    one = await eventually(lambda: of(world.gpus, small))
    other = await eventually(lambda: of(world.gpus, large))
    assert one.memory_bytes < other.memory_bytes


async def test_one_that_has_ended_is_told_no_more(world):
    pid = await world.start(64)
    await eventually(lambda: of(world.gpus, pid))
    await world.end(pid)
    await eventually(lambda: of(world.gpus, pid) is None)


def test_without_a_driver_nothing_is_known_and_nothing_is_wrong(tmp_path):
    assert list(MemoryGpus(has_driver=False).processes()) == []
    assert list(Nvml(driver=tmp_path / "none").processes()) == []


def test_a_driver_whose_library_is_missing_is_tried_again_later(tmp_path):
    tried, now = [], [0.0]

    def load():
        tried.append(now[0])
        return pynvml

    if DEVICE.exists():
        pytest.skip("here the library is not missing")
    gpus = Nvml(driver=tmp_path, load=load, ticks=lambda: now[0])
    for at in (0.0, 1.0, 59.0, 61.0):
        now[0] = at
        assert list(gpus.processes()) == []
    assert tried == [0.0, 61.0]


class Played:
    """The driver's library, as it answers: errors are its own, and so are their numbers."""

    NVMLError = pynvml.NVMLError
    NVML_SUCCESS = pynvml.NVML_SUCCESS
    NVML_ERROR_NOT_FOUND = pynvml.NVML_ERROR_NOT_FOUND
    NVML_ERROR_NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
    NVML_ERROR_NO_PERMISSION = pynvml.NVML_ERROR_NO_PERMISSION
    NVML_ERROR_FUNCTION_NOT_FOUND = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND

    def __init__(self) -> None:
        self.computing: list | int = []
        self.drawing: list | int = []
        self.samples: list | int = pynvml.NVML_ERROR_NOT_FOUND
        self.asked_since: list[int] = []
        self.begun = 0

    def nvmlInit(self):
        self.begun += 1

    def nvmlDeviceGetCount(self):
        return 1

    def nvmlDeviceGetHandleByIndex(self, _):
        return "handle"

    def nvmlDeviceGetMemoryInfo(self, _):
        return SimpleNamespace(total=1000)

    def nvmlDeviceGetComputeRunningProcesses(self, _):
        return self._answer(self.computing)

    def nvmlDeviceGetGraphicsRunningProcesses(self, _):
        return self._answer(self.drawing)

    def nvmlDeviceGetProcessUtilization(self, _, since):
        self.asked_since.append(since)
        return self._answer(self.samples)

    def _answer(self, answer):
        if isinstance(answer, int):
            raise pynvml.NVMLError(answer)
        return answer


def running(pid, memory):
    return SimpleNamespace(pid=pid, usedGpuMemory=memory)


def used(pid, at, percent):
    return SimpleNamespace(pid=pid, timeStamp=at, smUtil=percent)


@pytest.fixture
def played():
    return Played()


@pytest.fixture
def gpus(played, tmp_path):
    return Nvml(driver=tmp_path, load=lambda: played)


def test_a_first_look_knows_no_utilisation_and_the_next_what_came_since(gpus, played):
    played.computing, played.samples = [running(7, 100), running(8, None)], [used(7, 5, 90)]
    assert gpus.processes() == [GpuProcess(0, 7, None, 100, 1000), GpuProcess(0, 8, None, None, 1000)]
    played.samples = [used(7, 5, 90), used(7, 6, 20), used(7, 9, 40)]
    assert gpus.processes() == [GpuProcess(0, 7, 30.0, 100, 1000), GpuProcess(0, 8, 0.0, None, 1000)]
    assert played.asked_since == [0, 5]
    played.samples = pynvml.NVML_ERROR_NOT_FOUND
    assert [one.utilization_percent for one in gpus.processes()] == [0.0, 0.0]
    assert played.asked_since == [0, 5, 9]


def test_one_that_computes_and_draws_counts_once(gpus, played):
    played.computing, played.drawing = [running(7, 100)], [running(7, 100)]
    assert [one.memory_bytes for one in gpus.processes()] == [100]


@pytest.mark.parametrize("refused", [Played.NVML_ERROR_NOT_SUPPORTED, Played.NVML_ERROR_NO_PERMISSION])
def test_a_gpu_that_tells_nothing_by_process_has_no_value_and_is_no_error(gpus, played, refused):
    played.computing = played.drawing = played.samples = refused
    assert gpus.processes() == []
    assert gpus.processes() == []
    assert played.begun == 1


def test_what_pynvml_calls_an_error_though_nothing_runs_is_none(gpus, played):
    played.computing, played.samples = [running(7, 100)], pynvml.NVML_SUCCESS
    gpus.processes()
    assert [one.utilization_percent for one in gpus.processes()] == [0.0]


def test_a_driver_that_was_lost_is_begun_anew(played, tmp_path):
    now = [0.0]
    gpus = Nvml(driver=tmp_path, load=lambda: played, ticks=lambda: now[0])
    played.computing = [running(7, 100)]
    assert len(gpus.processes()) == 1
    played.computing = pynvml.NVML_ERROR_GPU_IS_LOST
    assert gpus.processes() == []
    played.computing = [running(7, 100)]
    assert gpus.processes() == []
    now[0] = 60.0
    assert len(gpus.processes()) == 1
    assert played.begun == 2
