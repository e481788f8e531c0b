from collections.abc import AsyncIterator

import pytest

from tests.support.live_platform import LivePlatform


@pytest.fixture(scope="package")
async def _platform_of_all(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LivePlatform]:
    platform = LivePlatform(tmp_path_factory.mktemp("platform") / "home")
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


@pytest.fixture
async def shared_platform(_platform_of_all: LivePlatform) -> AsyncIterator[LivePlatform]:
    """One for all tests that kill nothing; each brings deployments of its own, which end with it."""
    yield _platform_of_all
    await _platform_of_all.delete_all()
