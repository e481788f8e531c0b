"""What it costs to measure 1,000 replicas, and how long an answer with two weeks of measurements takes."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from sqlalchemy import insert

from benchmarks.figure import AtMost, Figure
from libs.common.clock import utc_now
from libs.common.cluster.local.record import Record
from libs.common.cluster.local.shim import proc
from libs.common.cluster.local.usage import SHORTEST_S, Meter, Running
from services.api.points import store as points
from services.api.points.minutes import DeploymentPoint, Minute, ReplicaPoint
from services.api.points.packing import average_by, pack
from services.api.points.tables import DEPLOYMENT, EDGE, REPLICA, hours, series
from tests.support.clusters import template
from tests.support.rest import RunningApi, a_config, running_api

REPLICAS = 1_000
QUICK_REPLICAS = 200
EVERY_S = 15.0
ROUNDS = 5
REPLICAS_OF_ONE = 4
DAYS = 14


@asynccontextmanager
async def running(number: int) -> AsyncIterator[list[Running]]:
    """So many processes that do nothing, each the first of its session, as those of replicas are."""
    processes = [
        await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True) for _ in range(number)
    ]
    try:
        of = template()
        yield [
            Running(
                Record(f"r{place}", "d", "run", "spec", of, place, utc_now(), None, "", 1.0, 1.0, 1.0),
                Path(f"/replicas/{place}"),
                0,
                process.pid,
                proc.start_ticks(process.pid),
            )
            for place, process in enumerate(processes)
        ]
    finally:
        for process in processes:
            process.kill()
            await process.wait()


async def sampling(number: int) -> float:
    """The share of a core, in percent, when it is done every `EVERY_S`."""
    async with running(number) as replicas:
        meter = Meter(utc_now)
        await meter.measure(replicas)
        took = []
        for _ in range(ROUNDS):
            await asyncio.sleep(SHORTEST_S)
            start = process_time()
            found = await meter.measure(replicas)
            took.append(process_time() - start)
            if len(found) != number:
                raise RuntimeError(f"{len(found)} of {number} were measured")
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
    last = now // points.HOUR
    engine = running.api.points._engine  # noqa: SLF001 - minute by minute it would take minutes
    with engine.begin() as connection:
        for number, (key, (values, is_thinned)) in enumerate(names.items(), 1):
            columns = dict(zip(("kind", "deployment_id", "replica_id", "gpu"), key, strict=True))
            connection.execute(insert(series).values(id=number, **columns))
            fine = [(minute, values) for minute in range(points.HOUR)]
            coarse = average_by(fine, points.COARSE)
            for hour in range(last - DAYS * 24, last):
                is_coarse = is_thinned and hour < last - points.FINE
                connection.execute(
                    insert(hours).values(
                        hour=hour,
                        series=number,
                        kind=key[0],
                        step=points.COARSE if is_coarse else 1,
                        first=hour * points.HOUR,
                        data=pack(coarse if is_coarse else fine),
                    )
                )


async def answering(metric: str) -> float:
    """Milliseconds of an answer, the slowest of a few."""
    with tempfile.TemporaryDirectory() as home:
        async with running_api(Path(home)) as api:
            deployment_id = await api.submit(a_config())
            now = int(api.api.clock().timestamp()) // 60
            fill(api, deployment_id, now)
            path = f"/v1/deployments/{deployment_id}/metrics"
            took = []
            for _ in range(ROUNDS):
                start = perf_counter()
                found = await api.get(path, metric=metric, timeframe="2_weeks")
                took.append((perf_counter() - start) * 1e3)
                if not found:
                    raise RuntimeError("nothing was answered")
            return max(took)


async def taking_in(deployments: int) -> float:
    """Milliseconds to write one minute of so many deployments with two replicas each."""
    names = [f"{number:032x}" for number in range(deployments)]
    with tempfile.TemporaryDirectory() as home:
        kept = points.PointStore(Path(home) / "points.db", most_bytes=2**30)
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
    replicas = QUICK_REPLICAS if quick else REPLICAS
    return [
        Figure(
            f"{replicas} replicas measured every {EVERY_S:g} s, CPU",
            await sampling(replicas),
            "% of a core",
            aim=AtMost(2.0 * replicas / REPLICAS),
        ),
        *[
            Figure(f"two weeks of {metric}, slowest answer", await answering(metric), "ms", aim=AtMost(200.0))
            for metric in ("requests_total", "cpu")
        ],
        Figure("a minute of 1,000 deployments written", await taking_in(1_000), "ms"),
    ]
