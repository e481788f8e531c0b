"""What 10,000 deployments cost that want nothing, and many that were deleted: on a platform as people run it.

A service is killed, and a change submitted at once: how long until its new run serves a request.
"""

import asyncio
import os
import signal
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.envoys import cpu_seconds, pss_mib
from benchmarks.figure import AtMost, Figure
from libs.common.services import SERVICES
from tests.support.grown_home import fill
from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually

DISABLED = 10_000
QUICK_DISABLED = 500
DELETED = 0
KILLED = ("reconciler", "health", "router")
ROUNDS = 3
IDLE_S = 20.0
SETTLED_S = 5.0


async def measure(*, quick: bool = False) -> list[Figure]:
    """`SPECSTREAM_BENCH_DISABLED` and `SPECSTREAM_BENCH_DELETED` say how many, if not the usual number."""
    disabled = int(os.environ.get("SPECSTREAM_BENCH_DISABLED", QUICK_DISABLED if quick else DISABLED))
    deleted = int(os.environ.get("SPECSTREAM_BENCH_DELETED", DELETED))
    with tempfile.TemporaryDirectory() as directory:
        running = LivePlatform(Path(directory) / "home")
        try:
            await running.start_and_wait()
            await asyncio.sleep(SETTLED_S)
            empty_mib = _memory_of_envoy(running)
            await running.run("down")
            await fill(running, disabled=disabled, deleted=deleted)
            # The read models are made, which is no part of a usual start.
            await running.start_and_wait(within_s=600)
            await asyncio.sleep(SETTLED_S)
            await running.run("down")
            bearing = f"{disabled} disabled, {deleted} deleted"
            rounds = 1 if quick else ROUNDS
            return await _measure(running, bearing, disabled=disabled, empty_mib=empty_mib, rounds=rounds)
        finally:
            await running.close()


async def _measure(
    running: LivePlatform, bearing: str, *, disabled: int, empty_mib: float, rounds: int
) -> list[Figure]:
    """empty_mib: the memory of an Envoy that knew no deployment."""
    start = perf_counter()
    running.start()
    await running.healthy(within_s=120)
    up_s = perf_counter() - start
    await running.wait_for_all()
    await asyncio.sleep(SETTLED_S)
    before = _used(running)
    await asyncio.sleep(IDLE_S)
    idle = {name: (used - before[name]) / IDLE_S * 100 for name, used in _used(running).items()}
    memory = {name: pss_mib(running.pid(name) or 0) for name in SERVICES}
    envoy_kib = (_memory_of_envoy(running) - empty_mib) * 1024 / disabled
    deployment_id = await running.deploy(hello("changing", VERSION="first"))
    undisturbed = [await _changed(running, deployment_id, f"none-{n}") for n in range(rounds)]
    killed = {
        name: [await _changed(running, deployment_id, f"{name}-{n}", kill=name) for n in range(rounds)]
        for name in KILLED
    }
    return [
        Figure(f"`up` until HEALTHY, {bearing}", up_s, "s", aim=AtMost(10)),
        *(
            Figure(f"idle CPU of {name}, {bearing}", percent, "% of a core", aim=AtMost(2))
            for name, percent in idle.items()
        ),
        *(Figure(f"memory of {name}, {bearing}", mib, "MiB PSS") for name, mib in memory.items()),
        Figure(f"memory of the five services, {bearing}", sum(memory.values()), "MiB PSS", aim=AtMost(450)),
        Figure(f"Envoy's memory for each of them, {bearing}", envoy_kib, "KiB PSS", aim=AtMost(8)),
        Figure(f"change until served, {bearing}", statistics.median(undisturbed), "s"),
        *(
            Figure(
                f"{name} killed: change until served, {bearing}", statistics.median(times), "s", aim=AtMost(3)
            )
            for name, times in killed.items()
        ),
    ]


def _memory_of_envoy(running: LivePlatform) -> float:
    return pss_mib(running.pid("envoy") or 0)


async def _changed(
    running: LivePlatform, deployment_id: str, version: str, *, kill: str | None = None
) -> float:
    """Seconds from the change, and the kill right before it, until the new run serves."""
    await running.settled(deployment_id)
    await running.healthy()
    await asyncio.sleep(SETTLED_S)
    start = perf_counter()
    if kill is not None:
        running.send(kill, signal.SIGKILL)
    await running.submit(hello("changing", VERSION=version))
    await eventually(lambda: _is_served_by(running, deployment_id, version), within_s=120)
    return perf_counter() - start


async def _is_served_by(running: LivePlatform, deployment_id: str, version: str) -> bool:
    url = f"http://127.0.0.1:{running.edge_port}/"
    answer = await running.http.get(url, headers={"host": running.endpoint(deployment_id)})
    return answer.status_code == 200 and answer.json()["version"] == version


def _used(running: LivePlatform) -> dict[str, float]:
    return {name: cpu_seconds(running.pid(name) or 0) for name in SERVICES}
