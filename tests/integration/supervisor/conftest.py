from collections.abc import Callable

import pytest

from tests.support.platform_process import STANDINS, PlatformProcess


@pytest.fixture
async def make_platform(tmp_path):
    """Platforms with stand-ins for the services, stopped at the end of the test."""
    made = []

    def make(name: str = "home", **environment: str) -> PlatformProcess:
        made.append(PlatformProcess(tmp_path / name, **STANDINS, **environment))
        return made[-1]

    yield make
    for platform in made:
        await platform.stop()


@pytest.fixture
async def platform(make_platform: Callable[..., PlatformProcess]) -> PlatformProcess:
    """One that is up."""
    platform = make_platform()
    await platform.start_and_wait()
    return platform
