"""A deployment from no replica to many and back, beside the same processes started bare; and what reads of
another project wait for meanwhile. A long one."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from time import perf_counter

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.envoys import is_open
from benchmarks.figure import AtMost, Figure
from benchmarks.platforms import platform
from tests.support.free_ports import free_ports
from tests.support.live_platform import HELLO, LivePlatform, hello
from tests.support.polling import eventually
from tests.support.scraped import read

REPLICAS = int(os.environ.get("SPECSTREAM_BENCH_REPLICAS", "400"))
QUICK_REPLICAS = 40
TRANSACTION_S = "0.1"
"""No transaction of the read models may take longer: where one of the histogram's buckets ends."""
READ_EVERY_S = 0.02
MOST_BYTES_OF_A_REPLICA = 32 * 1024 * 1024 / 1000
"""1,000 up and down may take 32 MiB. One costs no more among them than among 400: a page has 16 at most."""


async def bare(replicas: int) -> float:
    """Seconds until as many of the same program answer on their ports, started by nobody but us."""
    ports = free_ports(replicas)
    start = perf_counter()
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(HELLO),
            env={**os.environ, "PORT": str(port)},
            stdout=asyncio.subprocess.DEVNULL,
        )
        for port in ports
    ]
    try:
        for port in ports:
            await eventually(lambda port=port: is_open(port), every_s=0.05, within_s=600)
        return perf_counter() - start
    finally:
        for process in processes:
            process.kill()
            await process.wait()


async def scaled(running: LivePlatform, replicas: int) -> float:
    """Seconds until as many are ready, and no other is left."""
    start = perf_counter()
    deployment_id = await running.submit(hello("scaling", replicas=replicas))

    async def is_done() -> bool:
        if replicas and not (await running.spec(deployment_id))["dtHealthy"]:
            return False  # without asking for all of them, which takes from the machine what they start with
        instances = await running.instances(deployment_id)
        return len(instances) == replicas and all(i["state"] == "running" for i in instances)

    await eventually(is_done, every_s=0.25, within_s=900)
    return perf_counter() - start


async def reading(running: LivePlatform, deployment_id: str, waited: list[float]) -> None:
    """Reads of another deployment, until it is cancelled. A refusal counts as the longest wait."""
    while True:
        start = perf_counter()
        answer = await running.http.get(f"/deployments/{deployment_id}")
        waited.append((perf_counter() - start) * 1e3 if answer.status_code == 200 else float("inf"))
        await asyncio.sleep(READ_EVERY_S)


async def while_reading(
    running: LivePlatform, deployment_id: str, waited: list[float], work: Callable[[], Awaitable[float]]
) -> float:
    reader = asyncio.ensure_future(reading(running, deployment_id, waited))
    try:
        return await work()
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def written(running: LivePlatform) -> int:
    """Bytes of the payloads that health has written."""
    kept = [event for event in await running.events() if event["actor"] == "service:health"]
    return sum(len(str(event["data"])) for event in kept)


async def long_transactions(running: LivePlatform) -> tuple[float, float]:
    """Transactions of the read models so far that took longer than `TRANSACTION_S`, and all of them."""
    name = "specstream_readmodels_transaction_duration_seconds"
    families = text_string_to_metric_families(await read(running, "api"))
    samples = [sample for family in families if family.name == name for sample in family.samples]
    (short,) = (sample.value for sample in samples if sample.labels.get("le") == TRANSACTION_S)
    (whole,) = (sample.value for sample in samples if sample.name == f"{name}_count")
    return whole - short, whole


async def measure(*, quick: bool = False) -> list[Figure]:
    replicas = QUICK_REPLICAS if quick else REPLICAS
    limit = await bare(replicas)
    waited: list[float] = []
    async with platform(SPECSTREAM_METRICS="prometheus") as running:
        other = await running.deploy(hello("other"))
        await running.submit(hello("scaling", replicas=0))
        up = await while_reading(running, other, waited, lambda: scaled(running, replicas))
        down = await while_reading(running, other, waited, lambda: scaled(running, 0))
        volume = await written(running)
        too_long, transactions = await long_transactions(running)
    slowest = sorted(waited)[int(len(waited) * 0.99)]
    return [
        Figure(
            f"{replicas} replicas up", up, "s", limit, "the same processes started bare", AtMost(2 * limit)
        ),
        Figure(f"{replicas} replicas down", down, "s"),
        Figure("reads of another deployment meanwhile, p99", slowest, "ms", aim=AtMost(100)),
        Figure(
            "transactions of the read models longer than 100 ms",
            too_long,
            "",
            transactions,
            "all of them",
            AtMost(0),
        ),
        Figure(
            f"payloads of health for each of {replicas} replicas up and down",
            volume / replicas,
            "bytes",
            aim=AtMost(MOST_BYTES_OF_A_REPLICA),
        ),
    ]
