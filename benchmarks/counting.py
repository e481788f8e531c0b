"""What it costs that Envoy counts requests: the router's CPU while many deployments are called, and Envoy's
memory and CPU for many that nobody calls."""

import asyncio
from dataclasses import dataclass
from time import perf_counter, process_time

from benchmarks.brokers import broker
from benchmarks.envoys import call, cpu_seconds, load_server, platform_envoy, pss_mib
from benchmarks.figure import AtMost, Figure
from benchmarks.route_change import fill
from libs.common.domain import USUAL, endpoint_host
from libs.common.log.jetstream.samples import JetStreamSamplePublisher
from services.router.measuring.requests import RHYTHM
from tests.support.polling import eventually
from tests.support.routed import Routed

CALLED = 1_000
QUICK_CALLED = 200
SILENT = 10_000
QUICK_SILENT = 1_000
CALLING_S = 75.0
"""Some of it until all were called; in the minute that is left everything is published once."""
QUICK_CALLING_S = 20.0
REST_S = 30.0
QUICK_REST_S = 5.0
CONNECTIONS = 32
EVERY_S = 4.0
"""How often each is called, where it is seldom: within every push of Envoy."""

CPU_AIM = AtMost(2)
"""Percent of a core."""
MEMORY_AIM = AtMost(4)
"""KiB of a deployment."""


@dataclass(frozen=True, slots=True)
class Rest:
    """While nobody calls. router, envoy: percent of a core. memory_kib: of Envoy."""

    router: float
    envoy: float
    memory_kib: float


async def load(platform: Routed, deployments: int, *, address: str) -> None:
    """Give the Envoy so many deployments, and wait until it has taken them in."""
    assert platform.router is not None
    fill(platform, deployments, address=address)
    cache, last = platform.router.cache, f"{deployments - 1:032x}"

    def is_taken_in() -> bool:
        # Of an Envoy that a busy machine keeps from answering in time the session is another one by then.
        sessions = cache.sessions
        return bool(sessions) and all(
            s.has_acknowledged(last) and s.pending_since() is None for s in sessions
        )

    await eventually(is_taken_in, within_s=120)


async def resting(platform: Routed, seconds: float) -> Rest:
    """The router is all that this process does."""
    assert platform.envoy.process is not None
    pid = platform.envoy.process.pid
    await asyncio.sleep(RHYTHM.push_s)  # what taking in so many leaves to do is done
    start, router, envoy = perf_counter(), process_time(), cpu_seconds(pid)
    await asyncio.sleep(seconds)
    router, envoy = process_time() - router, cpu_seconds(pid) - envoy
    took = perf_counter() - start
    return Rest(router / took * 100, envoy / took * 100, pss_mib(pid) * 1024)


async def calling(
    platform: Routed, deployments: int, seconds: float, per_second: float | None
) -> tuple[float, float]:
    """Percent of a core that the router takes from when it knows that all are called, and requests a second.

    Raises RuntimeError where not all were counted, or something that was counted was lost.
    """
    router = platform.router
    assert router is not None
    hosts = [endpoint_host(f"{number:032x}", USUAL) for number in range(deployments)]
    router.counts.called_at.clear()
    task = asyncio.ensure_future(
        call(hosts, platform.edge_port, seconds=seconds, connections=CONNECTIONS, per_second=per_second)
    )
    await eventually(lambda: task.done() or len(router.counts.called_at) == deployments, within_s=seconds)
    start, used = perf_counter(), process_time()
    said = await task
    used, took = process_time() - used, perf_counter() - start
    if len(router.counts.called_at) != deployments or router.outbox.failures or took < seconds / 2:
        raise RuntimeError(f"{len(router.counts.called_at)} of {deployments} deployments were counted")
    return used / took * 100, said["per_second"]


async def called(deployments: int, calling_s: float, rest_s: float) -> list[Figure]:
    """By a router that publishes to a real broker."""
    async with (
        broker() as client,
        load_server() as upstream,
        platform_envoy(samples=JetStreamSamplePublisher(client)) as platform,
    ):
        await load(platform, deployments, address=f"127.0.0.1:{upstream}")
        rest = await resting(platform, rest_s)
        seldom, _ = await calling(platform, deployments, calling_s, deployments / EVERY_S)
        often, per_second = await calling(platform, deployments, calling_s, None)
    of_a_core = ("% of a core", rest.router, "nobody calls", CPU_AIM)
    return [
        Figure(
            f"router, each of {deployments} deployments called every {EVERY_S:g} s, CPU", seldom, *of_a_core
        ),
        Figure(f"router, {deployments} deployments called without a pause, CPU", often, *of_a_core),
        Figure("requests of these", per_second, "1/s"),
    ]


async def silent(deployments: int, rest_s: float) -> list[Figure]:
    """Of one Envoy after the other, since the memory of both is much."""
    found = []
    for counts_requests in (True, False):
        async with platform_envoy(counts_requests=counts_requests) as platform:
            await load(platform, deployments, address="127.0.0.1:9")
            found.append(await resting(platform, rest_s))
    counted, without = found
    more_kib = (counted.memory_kib - without.memory_kib) / deployments
    name = f"{deployments} silent deployments"
    return [
        Figure(
            f"Envoy's memory for counting, for each of {name}",
            more_kib,
            "KiB",
            without.memory_kib / deployments,
            "all else",
            MEMORY_AIM,
        ),
        Figure(f"Envoy, {name}, CPU", counted.envoy, "% of a core", without.envoy, "not counted", CPU_AIM),
        Figure(f"router, {name}, CPU", counted.router, "% of a core", without.router, "not counted", CPU_AIM),
    ]


async def measure(*, quick: bool = False) -> list[Figure]:
    calling_s, rest_s = (QUICK_CALLING_S, QUICK_REST_S) if quick else (CALLING_S, REST_S)
    return [
        *(await called(QUICK_CALLED if quick else CALLED, calling_s, rest_s)),
        *(await silent(QUICK_SILENT if quick else SILENT, rest_s)),
    ]
