"""The resync finds what no event tells, and leaves alone what is right."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog

from libs.common.clock import utc_now
from libs.common.cluster.abilities import KUBERNETES
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import ObservedWorkload, Workload
from libs.common.errors import ClusterUnavailable
from libs.common.events.envelope import Position
from libs.common.log.memory import MemoryLog
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.state.view import DeploymentView
from services.reconciler.converge import Reconciler
from services.reconciler.loop import Resync
from services.reconciler.plan import Plan
from tests.support.polling import eventually
from tests.unit.reconciler.scene import DEPLOYMENT, PROJECT, spec
from tests.unit.reconciler.stage import Stage

STRANGER = "f" * 32


class Scene(Stage):
    """A stage with a resync that follows its log."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress()
        self.resync = Resync(
            self.log,
            self.cluster,
            Reconciler(self.log, self.cluster),
            self.progress,
            Aside("reconcile", self.progress.set_aside),
            interval_s=0.01,
        )

    async def caught_up(self) -> None:
        """The follower has taken in everything that is in the log."""
        last = await self.log.last_sequence()
        await eventually(lambda: self.progress.applied_sequence >= last)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.register(spec("a", 2))
    await scene.settle()
    follower = asyncio.ensure_future(scene.resync.follow())
    await scene.caught_up()
    yield scene
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)


async def test_a_round_over_what_is_right_says_nothing(scene: Scene) -> None:
    before = await scene.events()
    await scene.resync.round()
    assert await scene.events() == before


async def test_what_was_right_is_planned_again_only_when_it_or_its_replicas_changed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[str] = []

    def plan(view: DeploymentView, workload: ObservedWorkload | None) -> Plan:
        planned.append(view.deployment_id)
        return planned_now(view, workload)

    planned_now = scene.resync._plan
    monkeypatch.setattr(scene.resync, "_plan", plan)
    for _ in range(3):
        await scene.resync.round()
    assert planned == [DEPLOYMENT]
    scene.cluster.exit((await scene.observed())[0].replica_id, status=1)
    await scene.resync.round()
    assert planned == [DEPLOYMENT] * 2
    await scene.register(spec("b", 2))
    await scene.caught_up()
    await scene.resync.round()
    assert planned == [DEPLOYMENT] * 3


async def test_a_replica_that_vanished_is_made_anew(scene: Scene) -> None:
    vanished, kept = await scene.observed()
    scene.cluster.end(vanished.replica_id)
    await scene.resync.round()
    after = {replica.replica_id for replica in await scene.observed()}
    assert len(after) == 2
    assert kept.replica_id in after


async def test_a_spec_that_nobody_was_woken_for_is_applied(scene: Scene) -> None:
    await scene.register(spec("b", 1))
    await scene.caught_up()
    await scene.resync.round()
    assert {replica.template.image for replica in await scene.observed()} == {"a", "b"}


@pytest.mark.parametrize("fence", [1, 1_000, Position(1, "another"), Position(1_000, "another")])
async def test_what_the_log_does_not_know_is_told_and_then_removed(
    scene: Scene, fence: int | Position
) -> None:
    await MemoryCluster.apply(scene.cluster, Workload(PROJECT, STRANGER, ()), fence=fence)
    with structlog.testing.capture_logs() as told:
        await scene.resync.round()
    assert [line["deployment_id"] for line in told] == [STRANGER]
    assert STRANGER in await scene.cluster.observe()
    await scene.resync.round()
    assert STRANGER not in await scene.cluster.observe()


async def test_on_a_cluster_that_others_use_too_it_is_told_once_and_left_alone(scene: Scene) -> None:
    scene.cluster.abilities = KUBERNETES
    await MemoryCluster.apply(scene.cluster, Workload(PROJECT, STRANGER, ()), fence=1)
    before = await scene.cluster.observe(STRANGER)
    with structlog.testing.capture_logs() as told:
        for _ in range(4):
            await scene.resync.round()
    assert [line["deployment_id"] for line in told] == [STRANGER]
    assert await scene.cluster.observe(STRANGER) == before


async def test_an_empty_log_ends_nothing() -> None:
    cluster = MemoryCluster(utc_now)
    await cluster.apply(Workload(PROJECT, STRANGER, ()), fence=1)
    log = MemoryLog()
    resync = Resync(
        log, cluster, Reconciler(log, cluster), Progress(), Aside("reconcile", {}), interval_s=0.01
    )
    for _ in range(3):
        await resync.round()
    assert STRANGER in await cluster.observe()


async def test_what_is_left_of_a_removed_deployment_is_removed(scene: Scene) -> None:
    await scene.delete()
    await scene.settle()
    await scene.caught_up()
    late = await scene.log.last_sequence() - 1
    await MemoryCluster.apply(scene.cluster, Workload(PROJECT, DEPLOYMENT, ()), fence=late)
    await scene.resync.round()
    assert DEPLOYMENT not in await scene.cluster.observe()


async def test_a_cluster_that_is_away_holds_everything(scene: Scene) -> None:
    scene.cluster.is_available = False
    with pytest.raises(ClusterUnavailable):
        await scene.resync.round()


async def test_it_is_ready_only_while_the_cluster_answers(scene: Scene) -> None:
    loop = asyncio.ensure_future(scene.resync.run())
    try:
        await eventually(lambda: scene.progress.is_ready)
        scene.cluster.is_available = False
        await eventually(lambda: not scene.progress.is_ready)
        scene.cluster.is_available = True
        await eventually(lambda: scene.progress.is_ready)
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
