"""A directory with a small file system of its own, which a test fills and empties."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MIB = 1024 * 1024


class SmallDisk:
    """path: where it is mounted. The ballast is what fills it, a stranger's file."""

    def __init__(self, path: Path, *, mib: int) -> None:
        self.path = path
        self._ballast = path / "ballast"
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "specstream-test", str(path)],
            check=True,
            capture_output=True,
        )

    @property
    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, *, leave: int = 0) -> None:
        """Write until nothing can be written any more, or only `leave` bytes."""
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            block = bytes(MIB)
            while block and self.free > leave:
                try:
                    os.write(descriptor, block[: self.free - leave] or block[:4096])
                except OSError:
                    block = block[: len(block) // 2]
        finally:
            os.close(descriptor)

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        # Lazily: whoever still has a file open there must not make the test leave a mount behind.
        subprocess.run(["umount", "--lazy", str(self.path)], check=True, capture_output=True)


def small_disks(scratch: Path) -> Iterator[Callable[..., SmallDisk]]:
    """Makes them; skips the test where this user may not mount."""
    try:
        SmallDisk(scratch / "may-we-mount", mib=1).unmount()
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    made: list[SmallDisk] = []

    def make(path: Path, *, mib: int) -> SmallDisk:
        made.append(SmallDisk(path, mib=mib))
        return made[-1]

    yield make
    for disk in made:
        disk.unmount()
