"""Deleting what replicas left: their temporary files, and the oldest of those that are remembered."""

import os

KEEP_GONE = 10
"""How many ended replicas of a deployment keep their directory, for their last words."""


def forget_oldest(gone: str) -> None:
    """Make room for one more."""
    kept = sorted((f"{gone}/{name}" for name in os.listdir(gone)), key=_gone_at)
    for path in kept[: max(len(kept) - KEEP_GONE + 1, 0)]:
        delete(path)


def delete(path: str) -> None:
    import shutil  # noqa: PLC0415 - needed once, when its memory no longer matters

    shutil.rmtree(path, ignore_errors=True)  # another shim may be at it


def _gone_at(path: str) -> int:
    """When a replica's directory came here; what another shim has removed meanwhile is the oldest."""
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0
