"""The replicas of the home's local cluster, as far as stopping goes."""

from pathlib import Path

from libs.supervisor.home import Home


async def stop(home: Home, *, grace_seconds: float) -> None:
    """End every replica: SIGTERM, SIGKILL after the grace period; returns when none is left.

    Their records stay: the next start brings back what the log says.
    """
    # The supervisor stays resident and needs this once, at the very end.
    from libs.common.cluster.local.cluster import LocalCluster  # noqa: PLC0415  see above

    await LocalCluster(root=home.replicas, grace_seconds=grace_seconds).shutdown()


def left(home: Home) -> tuple[int, ...]:
    """Pids that still work below `replicas/`, whoever started them."""
    pids = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            directory = (entry / "cwd").readlink()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # gone, a zombie, or another user's
        if directory.is_relative_to(home.replicas):
            pids.append(int(entry.name))
    return tuple(pids)
