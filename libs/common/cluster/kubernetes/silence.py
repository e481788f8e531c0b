"""How many nodes are silent, by the pods on them: who sees most of them silent is cut off itself. Pure."""

from collections import Counter
from typing import Final

from libs.common.cluster.kubernetes.pods import Pod

FEWEST: Final = 3
"""Silent nodes; fewer are believed."""


class Silence:
    """Of the nodes that have replicas. A node is silent when every pod that runs there is lost."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()

    @property
    def is_general(self) -> bool:
        """Whether more than half of the nodes are silent, and at least FEWEST."""
        silent = sum(lost >= self._running[node] for node, lost in self._lost.items())
        return silent >= FEWEST and 2 * silent > len(self._running)

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
