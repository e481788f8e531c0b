"""CPU of health: 2,000 readiness checks each 10 seconds from one process, beside bare TCP connections."""

import asyncio
import multiprocessing
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import uvloop

from benchmarks.figure import AtMost, Figure
from libs.common.clock import monotonic, utc_now
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import ObservedReplica, ObservedWorkload, ReplicaPhase
from libs.common.events.replica import Replica, ReplicaState
from libs.common.set_aside import Aside
from libs.common.spec.model import HealthCheck, HealthChecks
from libs.common.spec.template import Template
from libs.common.state.replica import Roster
from services.health.examination import Ready
from services.health.probe_request import Endpoint
from services.health.probe_runner import ProbeRunner
from services.health.prober import Prober

REPLICAS = 2_000
PERIOD_S = 10
DEPLOYMENT = "d" * 32

TEMPLATE = Template(
    image="i",
    ports=(8000,),
    machine_type="C4",
    health_checks=HealthChecks(readiness=HealthCheck(path="/ready", period_seconds=PERIOD_S)),
)


class Answer(asyncio.Protocol):
    """200 to everybody, at once."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of TCP
        self.transport = transport

    def data_received(self, _: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        self.transport.close()


def serve(told: Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0, backlog=4096)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


def workload(port: int) -> tuple[ObservedWorkload, Roster]:
    """All replicas at one port, and ready already: so their checks are spread over the period."""
    born = datetime(2026, 1, 1, tzinfo=UTC)
    shown = [
        ObservedReplica(
            f"{n:032x}",
            "run",
            "spec",
            TEMPLATE,
            ReplicaPhase.RUNNING,
            born,
            "127.0.0.1",
            {8000: port},
            started_at=born,
        )
        for n in range(REPLICAS)
    ]
    roster = Roster.of(
        Replica(
            replica_id=o.replica_id,
            run_id="run",
            spec_id="spec",
            state=ReplicaState.RUNNING,
            address=o.address,
            created_at=born,
        )
        for o in shown
    )
    return ObservedWorkload("default", DEPLOYMENT, 1, tuple(shown)), roster


class CountingProber(Prober):
    made = 0

    async def get(self, endpoint, check, ports=None):
        self.made += 1
        return await super().get(endpoint, check, ports)


async def rounds_cpu(port: int) -> tuple[float, int]:
    """CPU seconds and probes of one whole period."""
    observed, roster = workload(port)
    prober = CountingProber()
    aside = Aside("probe", {})
    probe_runner = ProbeRunner(
        prober,
        clock=utc_now,
        ticks=monotonic,
        on_verdict=lambda _: None,
        aside=aside,
        cluster=MemoryCluster(utc_now),
    )
    probe_runner.attend_one(DEPLOYMENT, observed, roster)
    task = asyncio.ensure_future(probe_runner.run())
    before = time.process_time()
    await asyncio.sleep(PERIOD_S)
    used = time.process_time() - before
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert all(isinstance(said, Ready) for said in probe_runner.conclusions(DEPLOYMENT).values())
    return used, prober.made


async def connect_cpu(port: int) -> float:
    """CPU seconds of as many connections that are opened and closed, one after the other."""
    prober, endpoint = Prober(), Endpoint("127.0.0.1", port)
    before = time.process_time()
    for _ in range(REPLICAS):
        await prober.connect(endpoint)
    return time.process_time() - before


async def measure(*, quick: bool = False) -> list[Figure]:  # noqa: ARG001 - a period takes its time
    """On the event loop that the services have, in a thread of its own."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        port = await asyncio.to_thread(ours.recv)
        used, made = await asyncio.to_thread(lambda: uvloop.run(rounds_cpu(port)))
        bare = await asyncio.to_thread(lambda: uvloop.run(connect_cpu(port)))
    finally:
        server.terminate()
        server.join()
    return [
        Figure(
            "probe, CPU", used / made * 1e6, "us", bare / REPLICAS * 1e6, "bare TCP connection", AtMost(300)
        ),
        Figure(
            f"{REPLICAS} replicas each {PERIOD_S} s, CPU",
            used / PERIOD_S * 100,
            "% of a core",
            aim=AtMost(10),
        ),
    ]
