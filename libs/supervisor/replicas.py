"""The replicas of the home's local cluster, as far as stopping goes."""

from contextlib import suppress
from pathlib import Path

from libs.common.cluster.local.shim import proc
from libs.common.errors import ClusterUnavailable
from libs.supervisor.errors import CannotStop
from libs.supervisor.home import Home


async def stop(home: Home, *, grace_seconds: float) -> None:
    """End every replica: SIGTERM, SIGKILL after the grace period; returns when none is left.

    The next start brings back what the log says. Raises CannotStop when the cluster cannot be told.
    """
    if not any(home.replicas.iterdir()):
        return
    # The supervisor stays resident and needs the cluster once, at the very end.
    from libs.common.cluster.local.cluster import LocalCluster  # noqa: PLC0415  see above

    try:
        await LocalCluster(home.replicas, grace_seconds=grace_seconds).shutdown(grace_seconds)
    except ClusterUnavailable as error:
        raise CannotStop(f"the replicas cannot be stopped: {error}") from error


def left(home: Home) -> tuple[int, ...]:
    """Pids that still work below `replicas/`, or have a folder there as their own, whoever started them."""
    return tuple(
        pid
        for pid in proc.pids()
        if any(Path(path).is_relative_to(home.replicas) for path in _directories(pid))
    )


def _directories(pid: int) -> list[str]:
    """Where it works, as far as that can be named, and its mount points."""
    with suppress(OSError):  # gone, a zombie, or another user's
        points = proc.mount_points(pid)
        with suppress(OSError):  # too deep to be named, which anybody may do
            return [str(Path(f"/proc/{pid}/cwd").readlink()), *points]
        return list(points)
    return []
