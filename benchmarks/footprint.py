"""What a platform that nobody calls takes: memory and CPU of each process, replicas apart."""

import asyncio
from collections.abc import Mapping

from benchmarks.envoys import cpu_seconds, pss_mib
from benchmarks.figure import AtMost, Figure
from benchmarks.platforms import own_processes, platform
from libs.common.services import SERVICES
from tests.support.live_platform import LivePlatform, hello

REPLICAS = 3
IDLE_S = 30.0
QUICK_IDLE_S = 5.0

SERVICES_AIM = AtMost(450)
IDLE_AIM = AtMost(3)


async def idle_cpu(running: LivePlatform, seconds: float) -> Mapping[str, float]:
    """Percent of a core by process while nothing is asked of the platform."""
    processes = own_processes(running)
    before = _used(processes)
    start = asyncio.get_running_loop().time()
    await asyncio.sleep(seconds)
    after, took = _used(processes), asyncio.get_running_loop().time() - start
    return {name: (after[name] - before[name]) / took * 100 for name in processes}


def memory(running: LivePlatform) -> Mapping[str, float]:
    """MiB by process: its proportional share of what it has mapped."""
    return {name: sum(map(pss_mib, pids)) for name, pids in own_processes(running).items()}


async def measure(*, quick: bool = False) -> list[Figure]:
    seconds = QUICK_IDLE_S if quick else IDLE_S
    async with platform() as running:
        await idle_cpu(running, seconds / 3)  # what a start leaves to do is done
        empty = await idle_cpu(running, seconds)
        await running.deploy(hello("resting", replicas=REPLICAS))
        await idle_cpu(running, seconds / 3)
        used = await idle_cpu(running, seconds)
        taken = memory(running)
    services = sum(taken[name] for name in SERVICES)
    bearing = f"{REPLICAS} replicas"
    return [
        *(Figure(f"memory of {name}", mib, "MiB PSS") for name, mib in taken.items()),
        Figure("memory of the five services", services, "MiB PSS", aim=SERVICES_AIM),
        *(Figure(f"idle CPU of {name}", percent, "% of a core") for name, percent in used.items()),
        _whole(bearing, used),
        _whole("no replica", empty),
    ]


def _whole(bearing: str, used: Mapping[str, float]) -> Figure:
    return Figure(f"idle CPU of the platform, {bearing}", sum(used.values()), "% of a core", aim=IDLE_AIM)


def _used(processes: Mapping[str, list[int]]) -> Mapping[str, float]:
    return {name: sum(map(cpu_seconds, pids)) for name, pids in processes.items()}
