"""A platform on a Kubernetes with more deployments than anybody has: what they take."""

import os
from time import perf_counter

from benchmarks.figure import Figure
from benchmarks.kubernetes import PATIENCE_S, at_ease, at_rest, submit_all
from benchmarks.kubernetes_world import NAMESPACE, lab

DEPLOYMENTS = 10_000
QUICK_DEPLOYMENTS = 1_000


async def measure(*, quick: bool = False) -> list[Figure]:
    """`SPECSTREAM_BENCH_DEPLOYMENTS` says how many, if not the usual number; of one replica each."""
    usual = QUICK_DEPLOYMENTS if quick else DEPLOYMENTS
    deployments = int(os.environ.get("SPECSTREAM_BENCH_DEPLOYMENTS", usual))
    async with lab() as world:
        start = perf_counter()
        await submit_all(world, deployments, 1)
        await world.ready(NAMESPACE, deployments, within_s=PATIENCE_S)
        took_s = perf_counter() - start
        await at_ease(world)
        return [
            Figure(f"{deployments:,} deployments of 1 until all are ready", took_s, "s"),
            *await at_rest(world, deployments),
        ]
