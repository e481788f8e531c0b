"""From a fact in the log to its first effect on requests, with 1 and with 10,000 deployments."""

import asyncio
import statistics
from time import perf_counter

from benchmarks.envoys import cpu_seconds, platform_envoy, pss_mib
from benchmarks.figure import AtMost, Figure
from services.router.routing import Endpoint, Health, Route, Routing
from tests.support.deployments import Storyteller
from tests.support.polling import eventually
from tests.support.routed import Routed
from tests.support.upstream import upstreams

CHANGES = 200
QUICK_CHANGES = 100
SIZES = (1, 10_000)
QUICK_SIZES = (1, 1_000)
AIM = AtMost(50)


class Watcher:
    """One keep-alive client that asks until the answer is as expected."""

    def __init__(self, host: str) -> None:
        self._request = f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()

    async def connect(self, port: int) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)

    async def until(self, mark: bytes) -> float:
        """When the first answer whose head holds `mark` has arrived."""
        while mark not in await self._ask():
            pass
        return perf_counter()

    async def until_always(self, mark: bytes) -> float:
        """The same for two answers in a row: of two replicas in turns, one is asked no more."""
        while not (mark in await self._ask() and mark in await self._ask()):
            pass
        return perf_counter()

    async def _ask(self) -> bytes:
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(line.partition(b":")[2] for line in lines if line.startswith(b"content-length:"))
        await self._reader.readexactly(int(length))
        return head


async def route_changes(deployment: Storyteller, watcher: Watcher, changes: int) -> list[float]:
    """Seconds for each time the deployment is disabled or enabled: its route changes."""
    took = []
    for change in range(changes):
        is_enabled = change % 2 == 1
        start = perf_counter()
        await deployment.register(spec_id=f"spec-{change}", enabled=is_enabled)
        took.append(await watcher.until(b" 200 OK" if is_enabled else b" 404 Not Found") - start)
    return took


async def endpoint_changes(
    deployment: Storyteller, watcher: Watcher, addresses: list[str], changes: int
) -> list[float]:
    """Seconds for each time another replica becomes the only ready one: its endpoints change."""
    took = []
    for change in range(changes):
        old, new = f"r{change % 2}", f"r{(change + 1) % 2}"
        await deployment.ready(new, addresses[(change + 1) % 2])
        start = perf_counter()
        await deployment.unready(old)
        took.append(await watcher.until_always(f"replica: {new}".encode()) - start)
    return took


def fill(platform: Routed, deployments: int, *, address: str = "127.0.0.1:9") -> None:
    """Further deployments, each with one replica; they stand straight in the router's cache."""
    assert platform.router is not None
    for number in range(deployments):
        name = f"{number:032x}"
        endpoint = Endpoint(address, "r0", "spec-0", Health.HEALTHY)
        platform.router.cache.put(Routing(name, Route("spec-0"), (endpoint,)))


async def at_size(size: int, changes: int) -> list[Figure]:
    async with platform_envoy() as platform, upstreams("r0", "r1") as both:
        assert platform.router is not None
        assert platform.envoy.process is not None
        pid = platform.envoy.process.pid
        before = cpu_seconds(pid)
        start = perf_counter()
        fill(platform, size - 1)
        sessions = platform.router.cache.sessions
        deployment = platform.deployment()
        await deployment.create()
        await deployment.ready("r0", both[0].address)
        await eventually(lambda: platform.is_current(deployment), within_s=120)
        watcher = Watcher(deployment.host)
        await watcher.connect(platform.edge_port)
        await watcher.until(b" 200 OK")
        await eventually(lambda: all(s.pending_since() is None for s in sessions), within_s=120)
        loaded_s, loaded_cpu = perf_counter() - start, cpu_seconds(pid) - before
        routes = await route_changes(deployment, watcher, changes)
        await watcher.until(b" 200 OK")
        endpoints = await endpoint_changes(deployment, watcher, [u.address for u in both], changes)
        return [
            *_latency(f"route change, {size} deployments", routes),
            *_latency(f"endpoint change, {size} deployments", endpoints),
            Figure(f"Envoy takes in {size} deployments", loaded_s, "s"),
            Figure(f"Envoy takes in {size} deployments, its CPU", loaded_cpu, "s"),
            Figure(f"Envoy's memory (PSS), {size} deployments", pss_mib(pid), "MiB"),
        ]


def _latency(name: str, took: list[float]) -> list[Figure]:
    quantiles = statistics.quantiles(took, n=100)
    return [
        Figure(f"{name}, p50", quantiles[49] * 1e3, "ms"),
        Figure(f"{name}, p99", quantiles[98] * 1e3, "ms", aim=AIM),
    ]


async def measure(*, quick: bool = False) -> list[Figure]:
    sizes, changes = (QUICK_SIZES, QUICK_CHANGES) if quick else (SIZES, CHANGES)
    return [figure for size in sizes for figure in await at_size(size, changes)]
