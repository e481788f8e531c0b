"""Which nodes are silent and which are given up: who sees most of them silent is cut off itself. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from libs.common.cluster.kubernetes.pods import Pod

FEWEST: Final = 3
"""Silent nodes; fewer are believed."""
GIVEN_UP_EVERY_S: Final = 10.0
"""A node. Many that fall silent together are likely to come back together."""


def is_general(silent: int, nodes: int) -> bool:
    """Whether more than half of the nodes are silent, and at least FEWEST."""
    return silent >= FEWEST and 2 * silent > nodes


class Silence:
    """Of the nodes that have replicas, by these alone. A node is silent when every pod that runs there is
    lost."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()

    @property
    def silent(self) -> frozenset[str]:
        return frozenset(node for node, lost in self._lost.items() if lost >= self._running[node])

    @property
    def is_general(self) -> bool:
        return is_general(len(self.silent), len(self._running))

    def take(self, before: Pod | None, after: Pod | None) -> None:
        """A pod has changed, come or gone."""
        for pod, change in ((before, -1), (after, 1)):
            if pod is not None and pod.node and pod.container.state == "running":
                self._count(self._running, pod.node, change)
                if pod.is_lost:
                    self._count(self._lost, pod.node, change)

    def _count(self, counter: Counter[str], node: str, change: int) -> None:
        counter[node] += change
        if counter[node] <= 0:
            del counter[node]


class GivenUp:
    """Nodes that have been silent for `after_s`, one more each GIVEN_UP_EVERY_S. Times are by one clock that
    nobody sets."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._nodes: frozenset[str] = frozenset()
        self._last_at: float | None = None

    def at(self, now: float, silent_since: Mapping[str, float], *, held: bool) -> Collection[str]:
        """Which they are. held: nothing is concluded now, and nobody is given up while it is so."""
        self._nodes &= silent_since.keys()
        if held:
            return ()
        due = [node for node, since in silent_since.items() if now - since >= self._after_s]
        waiting = sorted(set(due) - self._nodes, key=lambda node: (silent_since[node], node))
        if waiting and (self._last_at is None or now - self._last_at >= GIVEN_UP_EVERY_S):
            self._nodes |= {waiting[0]}
            self._last_at = now
        return self._nodes

    def next_at(self, silent_since: Mapping[str, float]) -> float | None:
        """When one more is given up, if nothing changes until then; None where none is waiting for that."""
        waiting = [since for node, since in silent_since.items() if node not in self._nodes]
        if not waiting:
            return None
        due_at = min(waiting) + self._after_s
        return due_at if self._last_at is None else max(due_at, self._last_at + GIVEN_UP_EVERY_S)
