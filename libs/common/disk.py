"""How much room a file system has, and taking some of it."""

import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Room:
    free: int
    """Bytes that a process without privileges may still write."""
    total: int
    """Bytes of the whole file system."""

    def __str__(self) -> str:
        unit, name = (GIB, "GiB") if self.free >= GIB else (MIB, "MiB")
        return f"{self.free / unit:.1f} of {self.total / unit:.1f} {name} free"


def take_room(path: Path, size: int) -> None:
    """Make a file of so many bytes, which are on the disk for it; whole or not at all.

    Raises OSError, FileExistsError where it is there.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def room_under(path: Path) -> Room:
    """Of the file system that holds `path`. One that can hold no further file has no room.

    Raises OSError when the path is not there.
    """
    found = os.statvfs(path)
    has_no_inode = found.f_files > 0 and found.f_favail == 0
    return Room(
        free=0 if has_no_inode else found.f_bavail * found.f_frsize, total=found.f_blocks * found.f_frsize
    )
