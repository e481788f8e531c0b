"""The nodes as far as we may read them, else as the pods there tell of them: who leaves, and who is lost."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from libs.common.clock import Ticks
from libs.common.cluster.kubernetes import nodes, silence
from libs.common.cluster.kubernetes.client import Client
from libs.common.cluster.kubernetes.informer import Informer, Kind
from libs.common.cluster.kubernetes.nodes import Node
from libs.common.cluster.kubernetes.pods import Pod
from libs.common.cluster.kubernetes.silence import GivenUp, Silence
from libs.common.events.rollout import MoveReason

logger = structlog.get_logger()

BELIEVED_AFTER_S: Final = 10.0
"""That a node is silent. All of them are not declared silent in one moment, and one is no hurry: what is sent
to its replicas meanwhile is tried elsewhere."""
_A_LITTLE_LATER: Final = 1.01
"""So that it is believed when it is looked at."""
_AFTERWARDS_S: Final = 0.05
"""So that one is given up when it is looked at."""

NODES: Final = Kind("nodes", "", nodes.parse)


class Places:
    """on_change: hears the name of a node of which something else is to be concluded; None where that may be
    any of them."""

    def __init__(
        self, client: Client, *, ticks: Ticks, node_lost_s: float, on_change: Callable[[str | None], None]
    ) -> None:
        self._ticks = ticks
        self._on_change = on_change
        self._by_pods = Silence()
        self._given_up = GivenUp(max(node_lost_s, BELIEVED_AFTER_S))
        self._silent_since: dict[str, float] = {}
        """By node."""
        self._lost_since: dict[str, float] = {}
        """By pod, whatever is said of its node."""
        self._told_of: frozenset[str] = frozenset()
        """The nodes that are given up, and of which it was told."""
        self._next: asyncio.TimerHandle | None = None
        """When one more is given up."""
        self._hidden: set[str] = set()
        """Pods that were told to end on a node that was given up, by their uid."""
        self.nodes: Informer[Node] = Informer(
            client,
            NODES,
            ticks=ticks,
            on_change=self._on_node,
            on_set_back=self._on_set_back,
            is_optional=True,
        )

    @property
    def is_general(self) -> bool:
        """Whether so many nodes are silent that nothing is concluded from it."""
        if self.nodes.is_current:
            return silence.is_general(len(self._silent_since), len(self.nodes.items))
        return self._by_pods.is_general

    @property
    def has_zones(self) -> bool:
        """Whether each node says in which zone it is, as in a cloud; supposed where nodes cannot be read."""
        return not self.nodes.is_current or all(node.has_zone for node in self.nodes.items.values())

    def is_lost(self, pod: Pod) -> bool:
        """Whether its node does not answer. What it has said last counts no more."""
        return pod.is_lost or pod.node in self._silent_since

    def is_held(self, pod: Pod) -> bool:
        """Of one that is lost: whether nothing is to be concluded from that, or not yet."""
        now = self._ticks()
        since = min(self._lost_since.get(pod.name, now), self._silent_since.get(pod.node, now))
        return self.is_general or now - since < BELIEVED_AFTER_S

    def must_move(self, pod: Pod) -> MoveReason | None:
        if not pod.node:
            return None
        if self._is_given_up(pod):
            return MoveReason.NODE_LOST
        node = self.nodes.items.get(pod.node)
        return node.mark if node is not None else None

    def is_hidden(self, pod: Pod) -> bool:
        """Of one that is to end: whether nobody can tell when it will. It is not waited for, and stays unseen
        when its node comes back and it ends."""
        if self._is_given_up(pod):
            self._hidden.add(pod.uid)
        return pod.uid in self._hidden

    def take(self, before: Pod | None, after: Pod | None) -> None:
        """A pod has changed, come or gone."""
        was_general = self.is_general
        self._by_pods.take(before, after)
        name = after.name if after is not None else before.name if before is not None else ""
        if after is None or not after.is_lost:
            self._lost_since.pop(name, None)
        elif name not in self._lost_since:
            self._lost_since[name] = self._ticks()
            self._look_later(after.node)
        if after is None and before is not None:
            self._hidden.discard(before.uid)
        if not self.nodes.is_current:
            self._take_silent(self._by_pods.silent)
        self._conclude(was_general=was_general)

    def start_again(self) -> None:
        """The server's state is one from before; every pod is taken anew."""
        self._by_pods = Silence()
        self._lost_since.clear()

    def _is_given_up(self, pod: Pod) -> bool:
        return pod.node in self._given_up.at(self._ticks(), self._silent_since, held=self.is_general)

    def _on_node(self, before: Node | None, after: Node | None) -> None:
        was_general = self.is_general
        name = after.name if after is not None else before.name if before is not None else ""
        if after is not None and after.is_silent:
            self._take_silent(self._silent_since.keys() | {name})
        else:
            self._take_silent(self._silent_since.keys() - {name})
        self._conclude(was_general=was_general)
        self._on_change(name)

    def _on_set_back(self) -> None:
        self._take_silent({node.name for node in self.nodes.items.values() if node.is_silent})
        self._tell_of_given_up()
        self._on_change(None)

    def _take_silent(self, now_silent: frozenset[str] | set[str]) -> None:
        for node in self._silent_since.keys() - now_silent:
            del self._silent_since[node]
        for node in now_silent - self._silent_since.keys():
            self._silent_since[node] = self._ticks()
            self._look_later(node)

    def _look_later(self, node: str | None) -> None:
        asyncio.get_running_loop().call_later(BELIEVED_AFTER_S * _A_LITTLE_LATER, self._on_change, node)

    def _conclude(self, *, was_general: bool) -> None:
        if was_general != self.is_general:
            logger.warning("most nodes answer again" if was_general else "most nodes are silent")
            if was_general:
                self._count_anew()
            self._on_change(None)
        self._tell_of_given_up()

    def _tell_of_given_up(self) -> None:
        """Of each node once, when it is: nothing else changes then that anybody would look at."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        is_held = self.is_general
        now = self._ticks()
        given_up = frozenset(self._given_up.at(now, self._silent_since, held=is_held))
        for node in sorted(given_up - self._told_of):
            self._on_change(node)
        self._told_of = given_up
        next_at = None if is_held else self._given_up.next_at(self._silent_since)
        if next_at is not None:
            wait_s = max(0.0, next_at - now) + _AFTERWARDS_S
            self._next = asyncio.get_running_loop().call_later(wait_s, self._tell_of_given_up)

    def _count_anew(self) -> None:
        """Those that come back do so one after the other: one that is silent still has as long as any other
        that fell silent just now."""
        now = self._ticks()
        self._silent_since = dict.fromkeys(self._silent_since, now)
        self._lost_since = dict.fromkeys(self._lost_since, now)
        self._look_later(None)
