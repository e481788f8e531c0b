"""Thousands of played steps would each print what happened."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from tests.unit.reconciler.following import Scene
from tests.unit.reconciler.scene import spec
from tests.unit.reconciler.stage import Stage


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    for process in stage.processes:
        await process.kill()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A deployment of two that is as it should be, and followed."""
    scene = Scene()
    await scene.register(spec("a", 2))
    await scene.settle()
    follower = asyncio.ensure_future(scene.resync.follow())
    await scene.caught_up()
    yield scene
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
