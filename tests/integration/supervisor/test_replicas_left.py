"""Which processes still hold something of a home's replicas."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from libs.supervisor import replicas
from libs.supervisor.home import Home
from tests.support.polling import eventually
from tests.support.small_disk import SmallDisk, small_disks


@pytest.fixture
def make_disk(tmp_path) -> Iterator[Callable[..., SmallDisk]]:
    yield from small_disks(tmp_path)


def in_a_mount_namespace(*first: str) -> "subprocess.Popen[bytes]":
    """A process with mounts of its own, as replicas have them. first: a command that it begins with."""
    mounting = " ".join(first) + " && " if first else ""
    return subprocess.Popen(["unshare", "--mount", "sh", "-c", f"{mounting}exec sleep 60"])


async def test_a_disk_for_all_replicas_is_nobodys_own(tmp_path: Path, make_disk):
    home = Home(tmp_path / "home")
    disk = make_disk(home.replicas, mib=1)
    own = disk.path / "deployments" / "d" / "r"
    own.mkdir(parents=True)
    others = in_a_mount_namespace()
    ours = in_a_mount_namespace("mount", "--bind", str(own), str(own))
    try:
        await eventually(lambda: ours.pid in replicas.left(home))
        assert others.pid not in replicas.left(home)
    finally:
        for process in (others, ours):
            process.kill()
            process.wait()
