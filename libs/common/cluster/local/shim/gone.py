"""Deleting what replicas left: their temporary files, and the oldest of those that are remembered."""

import os
import shutil
from contextlib import suppress

KEEP_GONE = 10
"""How many ended replicas of a deployment keep their directory, for their last words."""


def forget_oldest(gone: str) -> None:
    """Make room for one more."""
    kept = sorted((f"{gone}/{name}" for name in os.listdir(gone)), key=_gone_at)
    for path in kept[: max(len(kept) - KEEP_GONE + 1, 0)]:
        delete(path)


def delete(path: str) -> None:
    """All of a directory, as far as that is possible; what a replica has made in it ends no shim."""
    with suppress(OSError):  # another shim may be at it
        delete_whole(path)


def delete_whole(path: str) -> None:
    """All of a directory, however deep it is and whatever modes are set in it; links are not followed.

    Raises OSError where something of it has to stay.
    """
    with suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)
    if os.path.isdir(path) and not os.path.islink(path):
        _delete_deep(path)


def _delete_deep(path: str) -> None:
    """Level by level, each lifted to the top, for a tree too deep to be gone through or even named.

    Each directory is opened to us first: one that is closed can be neither read nor lifted.
    """
    lifted = 0
    os.chmod(path, 0o700)
    while entries := os.listdir(path):
        for name in entries:
            entry = f"{path}/{name}"
            if not _open(entry):
                os.unlink(entry)
                continue
            for child in os.listdir(entry):
                lifted += 1
                _open(f"{entry}/{child}")
                os.rename(f"{entry}/{child}", f"{path}/{lifted:x}.{os.getpid()}.lifted")
            os.rmdir(entry)
    os.rmdir(path)


def _open(path: str) -> bool:
    """Set the mode of a directory; False for anything else, which is left as it is."""
    if os.path.islink(path) or not os.path.isdir(path):
        return False
    os.chmod(path, 0o700)
    return True


def _gone_at(path: str) -> int:
    """When a replica's directory came here; what another shim has removed meanwhile is the oldest."""
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0
