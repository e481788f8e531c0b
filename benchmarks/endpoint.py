"""Requests per second and latency through a deployment's endpoint, beside a bare Envoy of the same run, and
beside an Envoy that does not count requests."""

import statistics
from dataclasses import dataclass, field

from benchmarks.envoys import bare_envoy, call, cpu_seconds, load_server, platform_envoy, pss_mib
from benchmarks.figure import AtLeastOfLimit, AtMost, Figure
from tests.support.polling import eventually
from tests.support.routed import Routed

SECONDS = 1.0
"""Short rounds and many, so that what else the machine does meets both sides alike."""
CONNECTIONS = 32
STARTS = 7
"""Of each Envoy: from one start to the next the same one differs by up to 3 %, by where its memory lies."""
ROUNDS = 3
QUICK_STARTS = 2
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


@dataclass
class Runs:
    """Of each side, and what the platform's Envoy takes at the end of each start."""

    bare: list[Run] = field(default_factory=list)
    counted: list[Run] = field(default_factory=list)
    uncounted: list[Run] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)


async def measure(*, quick: bool = False) -> list[Figure]:
    """Endpoint, one that is not counted, and bare Envoy in turns, so that all meet one machine; medians."""
    runs = Runs()
    async with load_server() as upstream:
        for _ in range(QUICK_STARTS if quick else STARTS):
            await start_and_run(upstream, runs)

    def median(of: list[Run], field: str) -> float:
        return statistics.median(getattr(run, field) for run in of)

    # Of each round by itself: what else the machine does moves both.
    more = statistics.median(
        one.cpu_us - other.cpu_us for one, other in zip(runs.counted, runs.uncounted, strict=True)
    )
    return [
        *(
            Figure(
                f"endpoint {name}",
                median(runs.counted, field),
                unit,
                median(runs.bare, field),
                "bare Envoy",
                aim,
            )
            for name, field, unit, aim in (
                ("requests", "per_second", "1/s", AIM),
                ("latency p50", "p50_ms", "ms", None),
                ("latency p99", "p99_ms", "ms", None),
                ("Envoy's CPU for a request", "cpu_us", "us", None),
            )
        ),
        Figure("endpoint requests, not counted", median(runs.uncounted, "per_second"), "1/s"),
        Figure("Envoy's CPU for counting a request", more, "us", aim=COUNTING_AIM),
        Figure("Envoy's memory (PSS)", statistics.median(runs.memory_mib), "MiB"),
    ]


async def start_and_run(upstream: int, runs: Runs) -> None:
    """Start each Envoy and call them in turns."""
    async with (
        bare_envoy(upstream) as (port, pid),
        platform_envoy() as counting,
        platform_envoy(counts_requests=False) as silent,
    ):
        served = await an_endpoint(counting, upstream)
        uncounted = await an_endpoint(silent, upstream)
        for _ in range(ROUNDS):
            runs.bare.append(await run("bare", port, pid))
            runs.counted.append(await run(*served))
            runs.uncounted.append(await run(*uncounted))
        runs.memory_mib.append(pss_mib(served[2]))


async def an_endpoint(platform: Routed, upstream: int) -> tuple[str, int, int]:
    """Host and port of a deployment that serves, and the pid of the Envoy in front of it."""
    deployment = platform.deployment()
    await deployment.create()
    await deployment.ready("r1", f"127.0.0.1:{upstream}")
    await eventually(lambda: platform.is_current(deployment))
    assert platform.envoy.process is not None
    return deployment.host, platform.edge_port, platform.envoy.process.pid
