"""Noticing what changed on this machine, at the cost of what has replicas and of nothing else.

A deployment gets its first replica only by `apply`, which notes it in the journal. One that has replicas is
observed itself: a directory's modification time changes with every file that is put in place in it, and a
replica that has lost its shim shows it at its FIFO.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from libs.common.clock import Clock
from libs.common.cluster.changed import EVERYTHING, Changed
from libs.common.cluster.local.home import Home
from libs.common.cluster.local.journal import Reader
from libs.common.cluster.local.shim import files
from libs.common.errors import ClusterUnavailable

BRISK_S = 0.1
BRISK_FOR = timedelta(seconds=15)
CALM_S = 0.25
"""Between two observations, and for how long after a change they are brisk: somebody waits for the next."""

_CLOCK_TICK_NS = 100_000_000
"""Two changes within one tick of the file system's clock show as one: what is younger may change unseen."""


async def watch(home: Home, clock: Clock) -> AsyncIterator[Changed]:
    """See the port."""
    watcher = Watcher(home, clock)
    changed, changed_at = EVERYTHING, clock()
    while True:
        try:
            if changed.everything:
                await asyncio.to_thread(watcher.begin)
            if changed.everything or changed.deployment_ids:
                changed_at = clock()
                yield changed
            await asyncio.sleep(BRISK_S if clock() - changed_at < BRISK_FOR else CALM_S)
            changed = watcher.observe()
        except OSError as error:
            raise ClusterUnavailable(f"the local cluster's files: {error}") from error


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one observation of a deployment's files has shown."""

    is_final: bool
    """Whether a change that comes later is sure to show."""
    replicas: tuple[str, ...]
    """The directories of its replicas."""
    shown: tuple[object, ...]
    """Whatever is different after a change."""


_NEVER = _Seen(is_final=False, replicas=(), shown=())


class Watcher:
    """What one process has noticed of the home's deployments."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._journal = Reader(home.journal)
        self._occupied: dict[str, _Seen] = {}

    def begin(self) -> None:
        """Take in everything that there is. Takes a while in a home with many deployments."""
        self._journal = Reader(self._home.journal)
        self._occupied = {
            deployment_id: _NEVER
            for deployment_id in self._home.deployment_ids()
            if self._home.replica_ids(deployment_id)
        }

    def observe(self) -> Changed:
        """What changed since the last observation. Raises OSError."""
        noted = self._journal.read()
        if noted is None:
            return EVERYTHING
        changed = {deployment_id for deployment_id in noted if self._home.is_id(deployment_id)}
        self._occupied |= dict.fromkeys(changed, _NEVER)
        now_ns = int(self._clock().timestamp() * 1e9)
        for deployment_id, before in tuple(self._occupied.items()):
            now = self._observe(deployment_id, before, now_ns)
            if now != before or not now.is_final:
                changed.add(deployment_id)
            if now.is_final and not now.replicas:
                del self._occupied[deployment_id]
            else:
                self._occupied[deployment_id] = now
        return Changed(frozenset(changed))

    def _observe(self, deployment_id: str, before: _Seen, now_ns: int) -> _Seen:
        directory = str(self._home.deployment(deployment_id))
        try:
            changed_ns = os.stat(directory).st_mtime_ns  # noqa: PTH116 - several times a second
            is_final = now_ns - changed_ns > _CLOCK_TICK_NS
            if before.is_final and before.shown[0] == changed_ns:
                replicas = before.replicas
            else:
                replicas = tuple(f"{directory}/{each}" for each in self._home.replica_ids(deployment_id))
            shown: list[object] = [changed_ns]
            for replica in replicas:
                replica_ns = os.stat(replica).st_mtime_ns  # noqa: PTH116
                is_supervised = files.is_supervised(replica)
                shown += (replica_ns, is_supervised)
                is_final = is_final and is_supervised and now_ns - replica_ns > _CLOCK_TICK_NS
        except FileNotFoundError:  # it, or a replica of it, has just gone
            return _Seen(not os.path.exists(directory), (), (None,))  # noqa: PTH110
        except OSError as error:  # whoever observes it is told why that fails, and tries again
            return _Seen(True, before.replicas or (directory,), (-1, error.errno))
        return _Seen(is_final, replicas, tuple(shown))
