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
    """One that is up, for this test alone."""
    platform = make_platform()
    await platform.start_and_wait()
    return platform


@pytest.fixture(scope="module")
async def _lasting_platform(tmp_path_factory):
    platform = PlatformProcess(tmp_path_factory.mktemp("lasting") / "home", **STANDINS)
    yield platform
    await platform.stop()


@pytest.fixture
async def lasting_platform(_lasting_platform: PlatformProcess) -> PlatformProcess:
    """One that is up with all its programs, shared by the tests of a module; each leaves it up."""
    if _lasting_platform.pid("supervisor") is None:
        await _lasting_platform.start_and_wait()
    await _lasting_platform.wait_for_all()
    return _lasting_platform
