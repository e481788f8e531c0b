"""The replicas of the home's local cluster, as far as stopping goes."""

import errno
from pathlib import Path

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
    """Pids that still work below `replicas/`, whoever started them."""
    pids = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            directory = (entry / "cwd").readlink()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # gone, a zombie, or another user's
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            continue  # too deep to be named: what anybody may do must not keep us from stopping
        if directory.is_relative_to(home.replicas):
            pids.append(int(entry.name))
    return tuple(pids)
