"""One deployment that cannot be reconciled does not keep the others from it: on events, and in the resync."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import ObservedWorkload, Workload
from libs.common.errors import CannotApply, LogUnavailable
from libs.common.events.deployment import DeploymentCreated, SpecRegistered
from libs.common.log.memory import MemoryLog
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.spec.template import make_template, run_id
from services.reconciler.converge import Reconciler, Trigger
from services.reconciler.handlers import handle
from services.reconciler.loop import Resync
from tests.support.deployments import Storyteller
from tests.support.endless import running
from tests.support.poison import PoisonedLog, PoisonError
from tests.support.polling import eventually
from tests.unit.reconciler.scene import spec

SICK, WELL = "a" * 32, "b" * 32


class SickCluster(MemoryCluster):
    """Fails for the deployments in `sick`: to apply, or to be seen at all. Refuses those in `refused`."""

    sick: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()

    async def apply(self, workload: Workload, *, fence: int) -> None:
        if workload.deployment_id in self.sick:
            raise PoisonError("this cannot be applied")
        if workload.deployment_id in self.refused:
            raise CannotApply("a policy of the cluster refuses it")
        await super().apply(workload, fence=fence)

    async def observe(self, deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        observed = await super().observe(deployment_id)
        return {
            id_: replace(workload, replicas=(), problem="its folder is locked")
            if id_ in self.hidden
            else workload
            for id_, workload in observed.items()
        }


class Scene:
    def __init__(self) -> None:
        self.log = PoisonedLog(MemoryLog())
        self.cluster = SickCluster(lambda: datetime(2026, 1, 1, tzinfo=UTC))
        self.progress = Progress()
        self.aside = Aside("reconcile", self.progress.set_aside)
        self.reconciler = Reconciler(self.log, self.cluster)
        self.resync = Resync(
            self.log, self.cluster, self.reconciler, self.progress, self.aside, interval_s=0.05
        )

    async def register(self, deployment_id: str, replicas: int = 1) -> Trigger:
        wanted = spec("image", replicas)
        story = Storyteller(self.log, deployment_id)
        registered = SpecRegistered(spec_id="s", run_id=run_id(make_template(wanted)), spec=wanted)
        await story.tell(DeploymentCreated(name="demo"), registered)
        return Trigger(deployment_id, await self.log.last_sequence(), "e", "c")

    def resyncing(self) -> AbstractAsyncContextManager[None]:
        return running(self.resync.follow(), self.resync.run())

    async def replicas(self, deployment_id: str) -> int:
        workload = (await MemoryCluster.observe(self.cluster, deployment_id)).get(deployment_id)
        return len(workload.replicas) if workload else 0

    async def until(self, deployment_id: str, replicas: int = 1) -> None:
        async def is_so() -> bool:
            return await self.replicas(deployment_id) == replicas

        await eventually(is_so, because=f"{deployment_id[0]} never had {replicas} replicas")

    def named(self) -> set[str]:
        return {one.subject for one in self.progress.set_aside.values()}


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_an_event_of_one_that_fails_is_done_and_the_resync_tries_it_again(scene: Scene) -> None:
    scene.cluster.sick = frozenset({SICK})
    await handle(scene.reconciler, scene.aside, await scene.register(SICK))
    assert scene.named() == {SICK}
    await handle(scene.reconciler, scene.aside, await scene.register(WELL))
    await scene.until(WELL)
    async with scene.resyncing():
        await eventually(lambda: scene.progress.is_ready)
        assert scene.named() == {SICK}
        scene.cluster.sick = frozenset()
        await scene.until(SICK)
        await eventually(lambda: not scene.named())


async def test_the_resync_tries_again_what_was_refused(scene: Scene) -> None:
    scene.cluster.refused = frozenset({SICK})
    await handle(scene.reconciler, scene.aside, await scene.register(SICK))
    assert scene.named() == set()
    async with scene.resyncing():
        await eventually(lambda: scene.progress.is_ready)
        assert await scene.replicas(SICK) == 0
        scene.cluster.refused = frozenset()
        await scene.until(SICK)


async def test_an_event_is_delivered_again_while_the_log_is_away(scene: Scene) -> None:
    trigger = await scene.register(WELL)
    with pytest.raises(LogUnavailable):
        await handle(scene.reconciler, scene.aside, replace(trigger, sequence=99))
    assert scene.named() == set()


@pytest.mark.parametrize("trouble", ["apply", "append", "events", "hidden"])
async def test_the_resync_goes_on_with_all_others(scene: Scene, trouble: str) -> None:
    await scene.register(SICK)
    if trouble == "apply":
        scene.cluster.sick = frozenset({SICK})
    elif trouble == "append":
        scene.log.refused = {SICK}
    elif trouble == "events":
        scene.log.poisoned = {SICK}
    else:
        await MemoryCluster.apply(scene.cluster, Workload("default", SICK, ()), fence=0)
        scene.cluster.hidden = frozenset({SICK})
    async with scene.resyncing():
        await eventually(lambda: scene.named() == {SICK})
        await scene.register(WELL)
        await scene.until(WELL)
        assert scene.progress.is_ready
        scene.cluster.sick, scene.cluster.hidden = frozenset(), frozenset()
        scene.log.refused, scene.log.poisoned = set(), set()
        await scene.until(SICK)
        await eventually(lambda: not scene.named())
