"""What it costs to measure 1,000 replicas, and how long an answer with two weeks of measurements takes."""

import asyncio
import gc
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from sqlalchemy import insert

from benchmarks.figure import AtMost, Figure
from libs.common.clock import monotonic, utc_now
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.local.usage import SHORTEST_S
from libs.common.machine_types.reading import bundled
from libs.common.metrics.port import MemorySamples, Received
from libs.common.metrics.samples import Kind
from services.api.app import YOUNG_OBJECTS
from services.api.points.minutes import DeploymentPoint, Minute, ReplicaPoint
from services.api.points.packing import average_by, pack
from services.api.points.store import PointStore
from services.api.points.tables import DEPLOYMENT, EDGE, REPLICA, hours, series
from services.api.points.upkeep import COARSE, FINE, HOUR
from services.health.sampler import Sampler
from tests.support.clusters import DEPLOYMENT as SAMPLED
from tests.support.clusters import all_run, replicas, run_of, template, workload
from tests.support.polling import eventually
from tests.support.rest import RunningApi, a_config, running_api

REPLICAS = 1_000
QUICK_REPLICAS = 200
EVERY_S = 15.0
ROUNDS = 5
REPLICAS_OF_ONE = 4
DAYS = 14


@asynccontextmanager
async def running(number: int) -> AsyncIterator[LocalCluster]:
    """A cluster of this machine with so many replicas that do nothing."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = LocalCluster(Path(folder), grace_seconds=5, machine_types=bundled())
        await cluster.apply(workload(run_of(number, of=template("sleep", "600"))), fence=1)
        try:

            async def all_do() -> bool:
                return all_run(number)(await replicas(cluster))

            await eventually(all_do, every_s=0.5, within_s=600)
            yield cluster
        finally:
            await cluster.remove(SAMPLED, fence=2)

            async def are_gone() -> bool:
                return SAMPLED not in await cluster.observe()

            await eventually(are_gone, every_s=0.5, within_s=600)


async def sampling(number: int) -> float:
    """The share of a core, in percent, when it is done every `EVERY_S`: all that health does, from the look
    at who runs until the batch lies in METRICS, which here is in this process's memory."""
    async with running(number) as cluster:
        samples = MemorySamples()
        sampler = Sampler(cluster, samples, interval_s=EVERY_S, clock=utc_now, ticks=monotonic)
        await sampler.sample()
        took = []
        for _ in range(ROUNDS):
            await asyncio.sleep(SHORTEST_S)
            start = process_time()
            await sampler.sample()
            took.append(process_time() - start)
        stored = samples.follow(Kind.USAGE, since=0)
        found = [await anext(stored) for _ in range(ROUNDS + 1)]
        measured = sum(len(one.batch.usage) for one in found if isinstance(one, Received))
        if measured < number * ROUNDS:
            raise RuntimeError(f"{measured} samples of {number} replicas were published in {ROUNDS} rounds")
        return median(took) / EVERY_S * 100


def fill(running: RunningApi, deployment_id: str, now: int) -> None:
    """Two weeks of one deployment, as they are kept."""
    point = astuple(DeploymentPoint(60.0, 1.0, 0.0, 6e6, 1.0, 2**29, float(REPLICAS_OF_ONE), 3.0, 7.0))
    used = astuple(ReplicaPoint(0.25, 2**27, 1.0, 1.0))
    names = {
        (EDGE, "", "", -1): ((1.0,), False),
        (DEPLOYMENT, deployment_id, "", -1): (point, False),
        **{(REPLICA, deployment_id, f"{n:032x}", -1): (used, True) for n in range(REPLICAS_OF_ONE)},
    }
    last = now // HOUR
    engine = running.api.points._engine  # noqa: SLF001 - minute by minute it would take minutes
    with engine.begin() as connection:
        for number, (key, (values, is_thinned)) in enumerate(names.items(), 1):
            columns = dict(zip(("kind", "deployment_id", "replica_id", "gpu"), key, strict=True))
            connection.execute(insert(series).values(id=number, **columns))
            fine = [(minute, values) for minute in range(HOUR)]
            coarse = average_by(fine, COARSE)
            for hour in range(last - DAYS * 24, last):
                is_coarse = is_thinned and hour < last - FINE
                connection.execute(
                    insert(hours).values(
                        hour=hour,
                        series=number,
                        kind=key[0],
                        step=COARSE if is_coarse else 1,
                        first=hour * HOUR,
                        data=pack(coarse if is_coarse else fine),
                    )
                )


async def answering(metric: str) -> tuple[float, float]:
    """Milliseconds of an answer, the slowest of a few, and of CPU that one takes."""
    with tempfile.TemporaryDirectory() as home:
        async with running_api(Path(home)) as api:
            deployment_id = await api.submit(a_config())
            now = int(api.api.clock().timestamp()) // 60
            fill(api, deployment_id, now)
            path = f"/v1/deployments/{deployment_id}/metrics"
            # As the api has it while it serves.
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS, 10, 10)
            took, used = [], []
            for _ in range(ROUNDS):
                start, start_cpu = perf_counter(), process_time()
                found = await api.get(path, metric=metric, timeframe="2_weeks")
                took.append((perf_counter() - start) * 1e3)
                used.append((process_time() - start_cpu) * 1e3)
                if not found:
                    raise RuntimeError("nothing was answered")
            gc.unfreeze()
            return max(took), median(used)


async def taking_in(deployments: int) -> float:
    """Milliseconds to write one minute of so many deployments with two replicas each."""
    names = [f"{number:032x}" for number in range(deployments)]
    with tempfile.TemporaryDirectory() as home:
        kept = PointStore(Path(home) / "points.db", most_bytes=2**30)
        try:
            took = []
            for number in range(29_000_000, 29_000_000 + ROUNDS):
                minute = Minute(
                    number,
                    True,
                    {each: DeploymentPoint(1.0, 0.0, 0.0, 1e3, 0.5, 1e6, 2.0) for each in names},
                    {(each, f"{n}"): ReplicaPoint(0.5, 1e6, 1.0, 1.0) for each in names for n in range(2)},
                )
                start = perf_counter()
                await asyncio.to_thread(kept.put, minute)
                took.append((perf_counter() - start) * 1e3)
            return median(took)
        finally:
            kept.close()


async def measure(*, quick: bool = False) -> list[Figure]:
    number = QUICK_REPLICAS if quick else REPLICAS
    return [
        Figure(
            f"{number} replicas measured every {EVERY_S:g} s, CPU",
            await sampling(number),
            "% of a core",
            aim=AtMost(2.0 * number / REPLICAS),
        ),
        *[
            figure
            for metric in ("requests_total", "cpu")
            for figure in _answered(metric, *(await answering(metric)))
        ],
        Figure("a minute of 1,000 deployments written", await taking_in(1_000), "ms"),
    ]


def _answered(metric: str, slowest: float, used: float) -> list[Figure]:
    """Where others keep the cores busy an answer waits for its turn; what it costs stays."""
    return [
        Figure(f"two weeks of {metric}, slowest answer", slowest, "ms", aim=AtMost(200.0)),
        Figure(f"two weeks of {metric}, CPU of an answer", used, "ms", aim=AtMost(200.0)),
    ]
