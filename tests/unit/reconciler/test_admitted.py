"""What a cluster has refused is tried as soon as it says that it would take it, whatever the pauses are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from libs.common import set_aside
from libs.common.back_off import BackOff
from libs.common.cluster.changed import EVERYTHING, Changed
from libs.common.cluster.port import Workload
from libs.common.errors import CannotApply, DeploymentUnavailable
from tests.support.polling import eventually, let_others_run
from tests.unit.reconciler.following import Scene
from tests.unit.reconciler.scene import DEPLOYMENT, spec
from tests.unit.reconciler.stage import WatchedCluster

NEVER_S = 3600.0


class RefusingCluster(WatchedCluster):
    """Raises `refusal` until there is none; `admit` tells that of the deployment."""

    refusal: Exception | None = None
    tried = 0

    def admit(self) -> None:
        self.refusal = None
        self._admitted.set()

    async def apply(self, workload: Workload, *, fence: int) -> None:
        self.tried += 1
        if self.refusal is not None:
            raise self.refusal
        await super().apply(workload, fence=fence)

    async def watch(self) -> AsyncIterator[Changed]:
        self._admitted = asyncio.Event()
        yield EVERYTHING
        await self._admitted.wait()
        yield Changed(admitted=frozenset({DEPLOYMENT, "e" * 32}))
        await asyncio.Event().wait()


@asynccontextmanager
async def running(scene: Scene) -> AsyncIterator[None]:
    resync = scene.resync_every(NEVER_S)
    tasks = [asyncio.ensure_future(each()) for each in (resync.follow, resync.run)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("refusal", [CannotApply("no pods on Sundays"), DeploymentUnavailable("quota: few")])
async def test_it_is_tried_at_once(refusal: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_aside, "PAUSES", BackOff(NEVER_S, NEVER_S))
    scene = Scene()
    cluster = scene.cluster = RefusingCluster(lambda: scene.now)
    cluster.log, cluster.refusal = scene.log, refusal
    await scene.register(spec("a", 1))
    async with running(scene):
        await eventually(lambda: cluster.tried)
        await scene.caught_up()
        await let_others_run(100)
        assert cluster.tried == 1
        assert not await scene.observed()
        cluster.admit()

        async def is_applied() -> bool:
            return [one.template.image for one in await scene.observed()] == ["a"]

        await eventually(is_applied)
        await eventually(lambda: not scene.progress.set_aside)
