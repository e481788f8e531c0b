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
    try:
        shutil.rmtree(path, ignore_errors=True)  # another shim may be at it
    except RecursionError:
        with suppress(OSError):
            _delete_deep(path)


def _delete_deep(path: str) -> None:
    """Level by level, each lifted to the top, for a tree too deep to be gone through or even named."""
    lifted = 0
    while entries := os.listdir(path):
        for name in entries:
            entry = f"{path}/{name}"
            if os.path.islink(entry) or not os.path.isdir(entry):
                os.unlink(entry)
                continue
            os.chmod(entry, 0o700)
            for child in os.listdir(entry):
                lifted += 1
                os.rename(f"{entry}/{child}", f"{path}/{lifted:x}.{os.getpid()}.lifted")
            os.rmdir(entry)
    os.rmdir(path)


def _gone_at(path: str) -> int:
    """When a replica's directory came here; what another shim has removed meanwhile is the oldest."""
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0
