"""256 replicas whose checks hang, and a neighbour that is checked on time all the same."""

import asyncio
from datetime import UTC, datetime

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import (
    Checked,
    ObservedReplica,
    ObservedWorkload,
    ReplicaPhase,
    RunWorkload,
    Workload,
)
from libs.common.events.replica import ReplicaReason
from libs.common.set_aside import Aside
from libs.common.spec.model import ExecAction, HealthCheck, HealthChecks
from libs.common.spec.template import Template
from services.health.examination import Ready, Undecided
from services.health.probe_runner import COMMANDS_IN_FLIGHT, IN_FLIGHT, ProbeRunner
from services.health.prober import Prober
from tests.support.polling import eventually

REPLICAS = 256
HOG, NEIGHBOUR = "a" * 32, "b" * 32
FOR_EVER = 2**31 - 1
"""Whoever waits for a hanging one waits for ever."""


def workload(deployment_id: str, replicas: int, port: int, checks: HealthChecks) -> ObservedWorkload:
    template = Template(image="i", ports=(8000,), machine_type="C4", health_checks=checks)
    shown = tuple(
        ObservedReplica(
            f"{deployment_id[0]}{number:031}",
            "run",
            "spec",
            template,
            ReplicaPhase.RUNNING,
            datetime(2026, 1, 1, tzinfo=UTC),
            host="127.0.0.1",
            ports={8000: port},
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for number in range(replicas)
    )
    return ObservedWorkload("default", deployment_id, 1, shown)


async def test_a_neighbour_of_256_hanging_replicas_is_checked_on_time() -> None:
    hanging: set[asyncio.StreamWriter] = set()
    asked = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hanging.add(writer)
        await reader.read()  # until the prober gives up
        hanging.discard(writer)
        writer.close()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    never = HealthCheck(path="/", period_seconds=1, timeout_seconds=FOR_EVER)
    soon = HealthCheck(path="/", period_seconds=1)
    slow_server = await asyncio.start_server(hang, "127.0.0.1", 0, backlog=1024)
    quick_server = await asyncio.start_server(answer, "127.0.0.1", 0)
    slow, quick = (s.sockets[0].getsockname()[1] for s in (slow_server, quick_server))
    probe_runner = ProbeRunner(
        Prober(),
        clock=utc_now,
        ticks=monotonic,
        on_verdict=lambda _: None,
        aside=Aside("probe", {}),
        cluster=MemoryCluster(utc_now),
    )
    running = asyncio.ensure_future(probe_runner.run())
    try:
        hog = workload(HOG, REPLICAS, slow, HealthChecks(readiness=never, liveness=never))
        probe_runner.attend_one(HOG, hog, None)
        await eventually(lambda: len(hanging) == IN_FLIGHT, because="not all slots are taken")

        probe_runner.attend_one(
            NEIGHBOUR, workload(NEIGHBOUR, 1, quick, HealthChecks(readiness=soon, liveness=soon)), None
        )
        await eventually(lambda: asked, because="the neighbour's first check is not made")
        ready = Ready(ReplicaReason.PROBE_SUCCEEDED)
        await eventually(lambda: list(probe_runner.conclusions(NEIGHBOUR).values()) == [ready])
        # Its checks go on, and none of them waits for one of the hanging.
        await eventually(lambda: asked >= 7, because="the neighbour's checks starve")
        await eventually(lambda: len(hanging) >= IN_FLIGHT - 4, because="the hanging ones are not made again")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        for writer in hanging:
            writer.close()
        slow_server.close()
        quick_server.close()


async def test_a_neighbour_of_hanging_commands_is_checked_on_time() -> None:
    """Commands of one deployment that never end keep no other one waiting."""
    cluster = MemoryCluster(utc_now)
    cluster.commands[("hang",)] = Checked(has_timed_out=True)
    never = HealthCheck(exec=ExecAction(command=("hang",)), period_seconds=1, timeout_seconds=FOR_EVER)
    soon = HealthCheck(exec=ExecAction(command=("true",)), period_seconds=1)
    probe_runner = ProbeRunner(
        Prober(),
        clock=utc_now,
        ticks=monotonic,
        on_verdict=lambda _: None,
        aside=Aside("probe", {}),
        cluster=cluster,
    )
    running = asyncio.ensure_future(probe_runner.run())
    try:
        for deployment_id, check, replicas in ((HOG, never, 2 * COMMANDS_IN_FLIGHT), (NEIGHBOUR, soon, 1)):
            of = Template(
                image="a",
                command=("a",),
                ports=(8000,),
                machine_type="C4",
                health_checks=HealthChecks(readiness=check),
            )
            run = RunWorkload("run", "spec", of, replicas)
            await cluster.apply(Workload("default", deployment_id, (run,)), fence=1)
            cluster.advance()
            probe_runner.attend_one(deployment_id, (await cluster.observe())[deployment_id], None)
        ready = [Ready(ReplicaReason.PROBE_SUCCEEDED)]
        await eventually(lambda: [*probe_runner.conclusions(NEIGHBOUR).values()] == ready)
        hog = probe_runner.conclusions(HOG).values()
        assert all(isinstance(each, Undecided) for each in hog)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
