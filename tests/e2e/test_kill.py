"""Any part may be killed at any moment of any operation: nothing acknowledged is lost, no call fails.

It holds promises 1 and 3.

Each run kills every part once; `make soak` kills every part in every operation. `SPECSTREAM_SEED` does a run
again.
"""

import pytest

from tests.support.killing import PARTS, SEED_VARIABLE, Killing, choose_seed, deal
from tests.support.live_platform import LivePlatform
from tests.support.pod_platform import pod_platform
from tests.support.scheduling import PODS

SEED = choose_seed()
CELLS = {cell.part: cell for cell in deal(SEED)}


@pytest.fixture(scope="module")
async def platform_of_processes(tmp_path_factory):
    platform = LivePlatform(tmp_path_factory.mktemp("killed") / "home")
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


@pytest.fixture(scope="module")
async def platform_of_pods(real_node, tmp_path_factory):
    async with pod_platform(real_node, tmp_path_factory.mktemp("killed") / "home") as platform:
        yield platform


@pytest.fixture(params=["processes", PODS])
def platform(request):
    return request.getfixturevalue(f"platform_of_{request.param}")


@pytest.mark.parametrize("part", PARTS)
async def test_killing_a_part_loses_nothing(platform, part):
    print(f"{SEED_VARIABLE}={SEED}: {CELLS[part]}")
    await Killing(platform, CELLS[part], f"killed-{part}").run()
    await platform.verified()
