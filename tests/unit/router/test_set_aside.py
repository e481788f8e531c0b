"""One deployment that cannot be routed does not keep the router from the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from libs.common.log.memory import MemoryLog
from libs.common.runtime import Progress
from services.router.follower import Follower
from services.router.xds.cache import Cache
from services.router.xds.listener import make_listener
from services.router.xds.types import Packed
from tests.support.deployments import Storyteller
from tests.support.poison import PoisonedLog
from tests.support.polling import eventually

SICK, WELL = "a" * 32, "b" * 32


class Scene:
    def __init__(self) -> None:
        self.log = PoisonedLog(MemoryLog())
        self.progress = Progress()
        self.cache = Cache(Packed.of(make_listener(8081, upload_deadline_s=600)))
        self.follower = Follower(self.log, self.cache, self.progress)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.follower.run())
        try:
            await self.follower.caught_up.wait()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def served(self, deployment_id: str) -> Storyteller:
        story = Storyteller(self.log, deployment_id)
        await story.create()
        await story.ready(f"replica-{deployment_id[0]}", "127.0.0.1:20001")
        return story

    def endpoints(self, deployment_id: str) -> int:
        resources = self.cache.resources.get(deployment_id)
        if resources is None or resources.endpoints is None:
            return 0
        return resources.endpoints.body.value.count(b"127.0.0.1")

    def named(self) -> set[str]:
        return {one.subject for one in self.progress.set_aside.values()}


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_one_that_cannot_be_taken_in_keeps_what_envoy_has(scene: Scene) -> None:
    sick = await scene.served(SICK)
    async with scene.following():
        assert scene.endpoints(SICK) == 1
        scene.log.poisoned = {SICK}
        await sick.ready("second", "127.0.0.1:20002")
        await eventually(lambda: scene.named() == {SICK})
        await scene.served(WELL)
        await eventually(lambda: scene.endpoints(WELL) == 1)
        assert scene.endpoints(SICK) == 1
        scene.log.poisoned = set()
        await eventually(lambda: scene.endpoints(SICK) == 2)
        await eventually(lambda: scene.named() == set())


async def test_one_that_is_poisoned_at_the_start(scene: Scene) -> None:
    await scene.served(SICK)
    await scene.served(WELL)
    scene.log.poisoned = {SICK}
    async with scene.following():
        await eventually(lambda: scene.endpoints(WELL) == 1)
        assert scene.named() == {SICK}
        scene.log.poisoned = set()
        await eventually(lambda: scene.endpoints(SICK) == 1)
        await eventually(lambda: scene.named() == set())
