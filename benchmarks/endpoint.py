"""Requests per second and latency through a deployment's endpoint, beside a bare Envoy of the same run, and
beside an Envoy that does not count requests."""

import statistics
from dataclasses import dataclass

from benchmarks.envoys import bare_envoy, call, cpu_seconds, load_server, platform_envoy, pss_mib
from benchmarks.figure import AtLeastOfLimit, AtMost, Figure
from tests.support.polling import eventually
from tests.support.routed import Routed

SECONDS = 1.0
"""Short rounds and many, so that what else the machine does meets both sides alike."""
CONNECTIONS = 32
ROUNDS = 15
QUICK_ROUNDS = 5
AIM = AtLeastOfLimit(0.95)
COUNTING_AIM = AtMost(2)
"""Microseconds of Envoy's CPU for a request."""


@dataclass(frozen=True, slots=True)
class Run:
    """cpu_us: what Envoy used for one request."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


async def run(host: str, port: int, envoy_pid: int) -> Run:
    before = cpu_seconds(envoy_pid)
    said = await call([host], port, seconds=SECONDS, connections=CONNECTIONS)
    used = cpu_seconds(envoy_pid) - before
    return Run(said["per_second"], said["p50_ms"], said["p99_ms"], used / said["requests"] * 1e6)


async def measure(*, quick: bool = False) -> list[Figure]:
    """Endpoint, one that is not counted, and bare Envoy in turns, so that all meet one machine; medians."""
    async with (
        load_server() as upstream,
        bare_envoy(upstream) as (port, pid),
        platform_envoy() as counting,
        platform_envoy(counts_requests=False) as silent,
    ):
        served = await an_endpoint(counting, upstream)
        uncounted = await an_endpoint(silent, upstream)
        bare, endpoint, without = [], [], []
        for _ in range(QUICK_ROUNDS if quick else ROUNDS):
            bare.append(await run("bare", port, pid))
            endpoint.append(await run(*served))
            without.append(await run(*uncounted))
        memory = pss_mib(served[2])

    def median(runs: list[Run], field: str) -> float:
        return statistics.median(getattr(run, field) for run in runs)

    # Of each round by itself: what else the machine does moves both.
    more = statistics.median(
        counted.cpu_us - other.cpu_us for counted, other in zip(endpoint, without, strict=True)
    )
    return [
        *(
            Figure(f"endpoint {name}", median(endpoint, field), unit, median(bare, field), "bare Envoy", aim)
            for name, field, unit, aim in (
                ("requests", "per_second", "1/s", AIM),
                ("latency p50", "p50_ms", "ms", None),
                ("latency p99", "p99_ms", "ms", None),
                ("Envoy's CPU for a request", "cpu_us", "us", None),
            )
        ),
        Figure("endpoint requests, not counted", median(without, "per_second"), "1/s"),
        Figure("Envoy's CPU for counting a request", more, "us", aim=COUNTING_AIM),
        Figure("Envoy's memory (PSS)", memory, "MiB"),
    ]


async def an_endpoint(platform: Routed, upstream: int) -> tuple[str, int, int]:
    """Host and port of a deployment that serves, and the pid of the Envoy in front of it."""
    deployment = platform.deployment()
    await deployment.create()
    await deployment.ready("r1", f"127.0.0.1:{upstream}")
    await eventually(lambda: platform.is_current(deployment))
    assert platform.envoy.process is not None
    return deployment.host, platform.edge_port, platform.envoy.process.pid
