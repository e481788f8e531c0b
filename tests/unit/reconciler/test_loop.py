"""The resync finds what no event tells, and leaves alone what is right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog

from libs.common.clock import utc_now
from libs.common.cluster.abilities import KUBERNETES
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import ObservedWorkload, ReplicaPhase, Workload
from libs.common.errors import ClusterUnavailable
from libs.common.events.envelope import Position
from libs.common.events.rollout import MoveReason, ReplicasMoving
from libs.common.leading import ALWAYS, Leading
from libs.common.log.memory import MemoryLog
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.state.view import DeploymentView
from services.reconciler import loop
from services.reconciler.converge import Reconciler
from services.reconciler.loop import Resync
from services.reconciler.plan import Plan
from tests.support.leading import Led
from tests.support.polling import PATIENCE_S, eventually, let_others_run
from tests.unit.reconciler.following import Scene
from tests.unit.reconciler.scene import DEPLOYMENT, PROJECT, spec

STRANGER = "f" * 32


async def test_a_round_over_what_is_right_says_nothing(scene: Scene) -> None:
    before = await scene.events()
    await scene.resync.round()
    assert await scene.events() == before


async def test_what_was_right_is_planned_again_only_when_it_or_its_replicas_changed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[str] = []

    def plan(view: DeploymentView, workload: ObservedWorkload | None, routers: frozenset[str]) -> Plan:
        planned.append(view.deployment_id)
        return planned_now(view, workload, routers)

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


async def test_what_has_waited_for_a_router_that_left_is_compared_again(scene: Scene) -> None:
    """Nothing of the deployment itself says that it has to wait no more."""
    await scene.join("router-2")
    await scene.register(spec("a", 1))
    await scene.processes[0].reconciler.resync(DEPLOYMENT)
    await scene.router("router")
    await scene.caught_up()
    for _ in range(2):
        await scene.resync.round()
    assert await scene.in_phase(ReplicaPhase.STOPPING) == []
    await scene.leave("router-2")
    await scene.caught_up()
    await scene.resync.round()
    assert len(await scene.in_phase(ReplicaPhase.STOPPING)) == 1


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
    running = asyncio.ensure_future(scene.resync.run())
    try:
        await eventually(lambda: scene.progress.is_ready)
        scene.cluster.is_available = False
        await eventually(lambda: not scene.progress.is_ready)
        scene.cluster.is_available = True
        await eventually(lambda: scene.progress.is_ready)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def running(resync: Resync) -> AsyncIterator[None]:
    task = asyncio.ensure_future(resync.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def seldom(scene: Scene, leading: Leading = ALWAYS) -> Resync:
    """Its next round is never."""
    scene.resync = scene.resync_every(3600, leading)
    return scene.resync


@pytest.fixture
async def calm() -> Scene:
    """A deployment of two that is as it should be; the test makes the resync."""
    scene = Scene()
    await scene.register(spec("a", 2))
    await scene.settle()
    return scene


@asynccontextmanager
async def following(resync: Resync) -> AsyncIterator[None]:
    async with running(resync):
        follower = asyncio.ensure_future(resync.follow())
        try:
            yield
        finally:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)


async def moves(scene: Scene) -> list[str]:
    return [event.type for event in await scene.events() if event.type == ReplicasMoving.event_type()]


async def test_a_move_begins_as_soon_as_the_cluster_tells_of_it(
    calm: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SOON_S", 10 * PATIENCE_S)  # nothing else begins it meanwhile
    async with following(seldom(calm)):
        await eventually(lambda: calm.progress.is_ready)
        await calm.mark(0, MoveReason.NODE_CORDONED)
        await eventually(lambda: moves(calm))
        assert len(await calm.observed()) == 3


async def test_who_does_not_lead_compares_nothing_and_counts_as_ready(calm: Scene) -> None:
    leading = Led()
    async with following(seldom(calm, leading)):
        await eventually(lambda: calm.progress.is_ready)
        await calm.mark(0, MoveReason.NODE_CORDONED)
        await let_others_run()
        assert await moves(calm) == []
        leading.lead(True)
        await eventually(lambda: moves(calm))
        leading.lead(False)
        await let_others_run()
        await calm.mark(1, MoveReason.NODE_CORDONED)
        await let_others_run()
        assert len(await moves(calm)) == 1


async def test_an_event_that_another_copy_took_with_it_is_handled(
    calm: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "UNHANDLED_S", 0.05)
    async with following(seldom(calm)):
        await eventually(lambda: calm.progress.is_ready)
        await calm.register(spec("b", 1))

        async def is_applied() -> bool:
            return {replica.template.image for replica in await calm.observed()} == {"a", "b"}

        await eventually(is_applied)


async def test_what_was_set_aside_is_tried_again_by_whoever_has_set_it_aside(calm: Scene) -> None:
    resync = seldom(calm, Led())
    async with following(resync):
        await eventually(lambda: calm.progress.is_ready)
        resync._aside.failed(DEPLOYMENT, ValueError("no"))
        await eventually(lambda: not calm.progress.set_aside)


async def test_strangers_are_removed_long_before_the_next_round(
    calm: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SOON_S", 0.05)
    await MemoryCluster.apply(calm.cluster, Workload(PROJECT, STRANGER, ()), fence=1)

    async def is_gone() -> bool:
        return STRANGER not in await calm.cluster.observe()

    async with following(seldom(calm)):
        await eventually(is_gone)
