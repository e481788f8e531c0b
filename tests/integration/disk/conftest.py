from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.support.live_platform import LivePlatform
from tests.support.small_disk import SmallDisk, small_disks

RESERVE_MIB = 8


@pytest.fixture
def make_disk(tmp_path) -> Iterator[Callable[..., SmallDisk]]:
    yield from small_disks(tmp_path)


@pytest.fixture
async def live(tmp_path, make_disk) -> AsyncIterator[LivePlatform]:  # noqa: ARG001 - unmounted after it
    """Not yet started: a disk may be mounted first."""
    platform = LivePlatform(tmp_path / "home", SPECSTREAM_DISK_RESERVE_MIB=str(RESERVE_MIB))
    yield platform
    await platform.close()
