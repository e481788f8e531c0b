"""Ten times the load, on a real platform with its usual windows: how long until the first further process."""

import asyncio
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.figure import AtMost, Figure
from benchmarks.platforms import platform
from tests.support.live_platform import Json, LivePlatform, load
from tests.support.polling import eventually

MACHINE_TYPES = "- {name: quarter, cpus: 0.25, memoryGib: 0.5}\n"
TIMES = 10
ROUNDS = 3
BY_CPU = {"maxReplicas": 10, "metrics": [{"metric": "cpu", "summary": "average", "value": 50}]}
BY_CONCURRENCY = {"maxReplicas": 10, "concurrency": {"target": 2}}
BURN = "/burn?seconds=0.002"
"""With the pauses between the calls a twelfth of a core, of which a quarter is 100 %."""
SLEEP = "/sleep?seconds=0.5"


async def until_another(running: LivePlatform, name: str, autoscaling: Json, path: str) -> float:
    """Seconds from the rise until the process of a second replica is there."""
    deployment_id = await running.deploy(load(name, autoscaling, machine_type="quarter"))

    async def is_measured() -> bool:
        found = await running.get(f"/deployments/{deployment_id}/explain")
        reasoning = found["reasoning"]
        return reasoning is not None and not reasoning["unknown"] and found["replicas"] == 1

    async def has_another() -> bool:
        # It looks at every process there is, which would hold up the calls.
        return len(await asyncio.to_thread(running.replica_processes, deployment_id)) > 1

    async with running.calling(deployment_id, path, lanes=1):
        await eventually(is_measured, every_s=0.25)
        start = perf_counter()
        async with running.caller(deployment_id, path, lanes=TIMES - 1):
            await eventually(has_another, every_s=0.1)
            took = perf_counter() - start
    await running.delete(deployment_id)
    await running.gone(deployment_id)
    return took


async def measure(*, quick: bool = False) -> list[Figure]:
    rounds = range(1 if quick else ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        types = Path(folder) / "types.yaml"
        types.write_text(MACHINE_TYPES)
        async with platform(SPECSTREAM_MACHINE_TYPES=str(types)) as running:
            by_concurrency = [
                await until_another(running, f"in-flight-{n}", BY_CONCURRENCY, SLEEP) for n in rounds
            ]
            by_cpu = [await until_another(running, f"cpu-{n}", BY_CPU, BURN) for n in rounds]
    about = f"load x {TIMES} until the first further process"
    return [
        Figure(f"{about}, by concurrency", max(by_concurrency), "s", aim=AtMost(6)),
        Figure(f"{about}, by cpu", max(by_cpu), "s", aim=AtMost(20)),
    ]
