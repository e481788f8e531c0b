"""One deployment that cannot be handled does not keep health from watching and probing the others."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import ObservedReplica, ObservedWorkload, RunWorkload, Workload
from libs.common.errors import LogUnavailable
from libs.common.events.envelope import select
from libs.common.events.replica import ReplicaState
from libs.common.leading import ALWAYS, Leading
from libs.common.log.memory import MemoryLog
from libs.common.runtime import Progress
from libs.common.spec.model import HealthCheck, HealthChecks
from libs.common.spec.template import Template, run_id
from libs.common.state.view import fold
from services.health.probe_request import Endpoint
from services.health.prober import Prober
from services.health.probing import Outcome, Success
from services.health.watching import watch_cluster
from tests.support.leading import Led
from tests.support.poison import PoisonedLog, PoisonError
from tests.support.polling import eventually

SICK, WELL = "a" * 32, "b" * 32
CHECK = HealthCheck(path="/", period_seconds=1)
TEMPLATE = Template(
    image="i",
    command=("serve",),
    ports=(8000,),
    machine_type="C4",
    health_checks=HealthChecks(readiness=CHECK),
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class AngryProber(Prober):
    """Fails by a fault of its own for the ports in `angry`; everything else passes."""

    def __init__(self) -> None:
        super().__init__()
        self.angry: set[int] = set()

    async def get(self, endpoint: Endpoint, check: Any, ports: Any = None) -> Outcome:  # noqa: ARG002
        if endpoint.port in self.angry:
            raise PoisonError("no request can be made of this")
        return Success()


class LockedCluster(MemoryCluster):
    """Cannot show the deployments in `locked`."""

    locked: frozenset[str] = frozenset()

    def lock(self, deployment_id: str) -> None:
        self.locked |= {deployment_id}
        self._note(deployment_id)

    async def observe(self, deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        observed = await super().observe(deployment_id)
        return {
            id_: replace(workload, replicas=(), problem="its folder is locked")
            if id_ in self.locked
            else workload
            for id_, workload in observed.items()
        }


class Scene:
    def __init__(self) -> None:
        self.log = PoisonedLog(MemoryLog())
        self.cluster = LockedCluster(lambda: NOW)
        self.prober = AngryProber()
        self.progress = Progress()

    async def create(self, deployment_id: str) -> ObservedReplica:
        run = RunWorkload(run_id(TEMPLATE), "s", TEMPLATE, 1)
        await self.cluster.apply(Workload("default", deployment_id, (run,)), fence=1)
        (replica,) = (await self.cluster.observe(deployment_id))[deployment_id].replicas
        self.cluster.start(replica.replica_id)
        (replica,) = (await self.cluster.observe(deployment_id))[deployment_id].replicas
        return replica

    @asynccontextmanager
    async def watching(self, leading: Leading = ALWAYS) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(
            watch_cluster(
                self.log,
                self.cluster,
                self.prober,
                progress=self.progress,
                clock=lambda: NOW,
                ticks=loop.time,
                leading=leading,
            )
        )
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def state(self, deployment_id: str) -> ReplicaState | None:
        events = [e async for e in self.log.read(select(aggregate_id=deployment_id))]
        view = fold(events)
        return view.roster.replicas[0].state if view and view.roster.replicas else None

    async def until(self, deployment_id: str, state: ReplicaState) -> None:
        async def is_so() -> bool:
            return await self.state(deployment_id) is state

        await eventually(is_so, because=f"the replica of {deployment_id[0]} was never {state}")

    def named(self) -> set[str]:
        return {one.subject for one in self.progress.set_aside.values()}


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_fact_that_cannot_be_appended(scene: Scene) -> None:
    scene.log.refused = {SICK}
    await scene.create(SICK)
    async with scene.watching():
        await eventually(lambda: scene.named() == {SICK})
        await scene.create(WELL)
        await scene.until(WELL, ReplicaState.RUNNING)
        assert await scene.state(SICK) is None
        assert scene.progress.is_ready
        (shown,) = scene.progress.set_aside.values()
        assert shown.reason == "watch: PoisonError"
        scene.log.refused = set()
        await scene.until(SICK, ReplicaState.RUNNING)
        await eventually(lambda: not scene.named())


async def test_events_that_cannot_be_taken_in(scene: Scene) -> None:
    await scene.create(SICK)
    async with scene.watching():
        await scene.until(SICK, ReplicaState.RUNNING)
        scene.log.poisoned = {SICK}
        (sick,) = (await scene.cluster.observe(SICK))[SICK].replicas
        scene.cluster.exit(sick.replica_id, status=1)
        await eventually(lambda: SICK in scene.named())
        await scene.create(WELL)
        await scene.until(WELL, ReplicaState.RUNNING)
        scene.log.poisoned = set()
        scene.cluster.start(sick.replica_id)
        await scene.until(SICK, ReplicaState.RUNNING)
        await eventually(lambda: not scene.named())


async def test_a_check_that_cannot_be_made(scene: Scene) -> None:
    sick = await scene.create(SICK)
    assert sick.ports is not None
    scene.prober.angry = set(sick.ports.values())
    async with scene.watching():
        await eventually(lambda: scene.named() == {SICK})
        await scene.create(WELL)
        await scene.until(WELL, ReplicaState.RUNNING)
        assert await scene.state(SICK) is ReplicaState.STARTING
        scene.prober.angry = set()
        await scene.until(SICK, ReplicaState.RUNNING)
        await eventually(lambda: not scene.named())


async def test_a_copy_that_leads_no_more_shows_nothing_of_what_it_set_aside(scene: Scene) -> None:
    unsaid = await scene.create(SICK)
    assert unsaid.ports is not None
    scene.prober.angry = set(unsaid.ports.values())
    leading = Led()
    leading.lead(True)
    async with scene.watching(leading):
        await scene.create(WELL)
        scene.cluster.lock(WELL)
        await eventually(lambda: scene.named() == {SICK, WELL})
        leading.lead(False)
        await eventually(lambda: not scene.named())
        leading.lead(True)
        await eventually(lambda: scene.named() == {SICK, WELL})


async def test_a_deployment_that_the_cluster_cannot_show_keeps_its_replicas(scene: Scene) -> None:
    await scene.create(SICK)
    async with scene.watching():
        await scene.until(SICK, ReplicaState.RUNNING)
        scene.cluster.lock(SICK)
        await eventually(lambda: scene.named() == {SICK})
        await scene.create(WELL)
        await scene.until(WELL, ReplicaState.RUNNING)
        assert await scene.state(SICK) is ReplicaState.RUNNING
        (shown,) = scene.progress.set_aside.values()
        assert shown.reason == "watch: DeploymentUnavailable: its folder is locked"
        scene.cluster.locked = frozenset()
        await eventually(lambda: not scene.named())
        assert await scene.state(SICK) is ReplicaState.RUNNING


async def test_a_log_that_is_away_sets_nobody_aside(scene: Scene) -> None:
    class Away(PoisonedLog):
        async def append(self, *_: Any, **__: Any) -> Any:
            raise LogUnavailable("away")

    scene.log = Away(MemoryLog())
    await scene.create(WELL)
    async with scene.watching():
        await eventually(lambda: not scene.progress.is_ready)
        assert scene.named() == set()
