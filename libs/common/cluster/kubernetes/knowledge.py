"""What the informers know together: which pods are replicas, by what their anchors list."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from libs.common.clock import Ticks
from libs.common.cluster.changed import EVERYTHING, Changed
from libs.common.cluster.kubernetes import names, pods, sayings
from libs.common.cluster.kubernetes.altered import is_altered
from libs.common.cluster.kubernetes.anchor import Anchor, Listed
from libs.common.cluster.kubernetes.anchor_object import AnchorObject, Written, parse_anchor
from libs.common.cluster.kubernetes.client import Client
from libs.common.cluster.kubernetes.informer import Informer, Kind
from libs.common.cluster.kubernetes.places import Places
from libs.common.cluster.kubernetes.pods import Pod
from libs.common.cluster.kubernetes.pulse import Pulse
from libs.common.cluster.kubernetes.sayings import Saying
from libs.common.cluster.port import ObservedReplica, ObservedWorkload
from libs.common.errors import ClusterUnavailable
from libs.common.events.rollout import MoveReason

logger = structlog.get_logger()

OLDEST: Final = (1, 34)
"""The oldest Kubernetes that has what the pods use."""
_CHECKED_EVERY_S: Final = 1.0
_REMEMBERED: Final = 4_096
_ASKED_AT_ONCE: Final = 32
"""Pods, by whoever is not sure of them."""

PODS: Final = Kind("pods", names.selector(names.REPLICAS), pods.parse)
ANCHORS: Final = Kind("configmaps", names.selector(names.ANCHORS), parse_anchor)
EVENTS: Final = Kind("events", "", sayings.parse, sayings.FIELDS)


@dataclass(slots=True)
class _Watcher:
    changed: set[str] = field(default_factory=set)
    admitted: set[str] = field(default_factory=set)
    has_missed: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> Changed:
        taken = Changed(frozenset(self.changed), self.has_missed, frozenset(self.admitted))
        self.changed, self.admitted, self.has_missed = set(), set(), False
        self.news.clear()
        return taken


class Knowledge:
    """Of one namespace. Nothing is asked before it is first needed."""

    def __init__(self, client: Client, *, ticks: Ticks, node_lost_s: float) -> None:
        self._client = client
        self._pods_of: dict[str, set[str]] = {}
        self._watchers: list[_Watcher] = []
        self.changes = 0
        """Grows with everything that changes here, and stays while nothing does."""
        self._said: dict[str, set[str]] = {}
        """The names of the events about a pod, by its uid."""
        self._was_ready: dict[str, bool] = {}
        """By replica that has or had a pod; of those without, the newest few thousand."""
        self.written = Written()
        self._born_with: dict[str, str] = {}
        """The image of each pod as it was made, by its uid, where that was seen."""
        self._tasks: list[asyncio.Task[None]] = []
        self._checked = asyncio.Lock()
        self._is_checked = False
        self.pods: Informer[Pod] = Informer(
            client, PODS, ticks=ticks, on_change=self._on_pod, on_set_back=self._on_set_back
        )
        self.anchors: Informer[AnchorObject] = Informer(
            client, ANCHORS, ticks=ticks, on_change=self._on_anchor, on_set_back=self._on_set_back
        )
        self.events: Informer[Saying] = Informer(
            client,
            EVENTS,
            ticks=ticks,
            on_change=self._on_event,
            on_set_back=self._tell_of_everything,
            is_optional=True,
        )
        self._pulse = Pulse(client, ticks=ticks)
        self.places = Places(client, ticks=ticks, node_lost_s=node_lost_s, on_change=self._on_place)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_until_known(self) -> None:
        """Raises ClusterUnavailable."""
        async with self._checked:
            if not self._is_checked:
                await self._check_server()
                self._is_checked = True
        if not self._tasks:
            lasting = (self.pods, self.anchors, self.places.nodes, self.events, self._pulse)
            self._tasks = [asyncio.create_task(each.run()) for each in lasting]
        for task in self._tasks:
            if task.done():
                task.result()
        self._pulse.check()
        await self.pods.wait_until_known()
        await self.anchors.wait_until_known()
        await self.places.nodes.wait_until_answered()
        await self.events.wait_until_answered()

    def anchor(self, deployment_id: str) -> AnchorObject | None:
        held = self.anchors.items.get(names.anchor_name(deployment_id))
        return None if held is None else self.written.mend(held)

    def pod(self, replica_id: str) -> Pod | None:
        return self.pods.items.get(names.pod_name(replica_id))

    def was_never_ready(self, replica_id: str) -> bool:
        """Whether it had a pod, of which nothing is known but that it was not ready."""
        return self._was_ready.get(replica_id) is False

    def pods_of(self, deployment_id: str) -> list[Pod]:
        """Every pod of the deployment, replica or not."""
        return [self.pods.items[name] for name in sorted(self._pods_of.get(deployment_id, ()))]

    def deployment_ids(self) -> set[str]:
        """Those of which there is an anchor or a pod."""
        return {one.deployment_id for one in self.anchors.items.values()} | self._pods_of.keys()

    def observe(self, deployment_id: str, only: Collection[str] | None = None) -> ObservedWorkload | None:
        """only: the replicas that are shown; None for all."""
        held = self.anchor(deployment_id)
        if held is None:
            return None
        if held.anchor is None:
            return ObservedWorkload("", deployment_id, 0, (), held.problem)
        there = [
            (listed, pod)
            for listed in held.anchor.replicas
            if (pod := self.pod(listed.replica_id)) is not None
            and pod.owner_uid == held.uid
            and not (listed.is_stopping and self.places.is_hidden(pod))
        ]
        if held.anchor.removed_at is not None and not there:
            return None
        replicas = tuple(
            self._show(held.anchor, pod, listed)
            for listed, pod in there
            if only is None or listed.replica_id in only
        )
        return ObservedWorkload(
            held.anchor.project_id,
            deployment_id,
            held.anchor.fence.sequence,
            replicas,
            is_altered=not held.is_as_written,
        )

    async def confirm(
        self, deployment_id: str, replica_ids: Collection[str], seen: ObservedWorkload | None
    ) -> bool:
        """See the port."""
        await self.wait_until_known()
        asked, anchor = frozenset(replica_ids), names.anchor_name(deployment_id)
        uncertain = [name for name in map(names.pod_name, asked) if not self.pods.is_certain(name)]
        limit = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def confirm_pod(name: str) -> None:
            async with limit:
                await self.pods.confirm(name)

        if uncertain or not self.anchors.is_certain(anchor):
            await asyncio.gather(self.anchors.confirm(anchor), *map(confirm_pod, uncertain))
        if seen is not None:
            seen = replace(seen, replicas=tuple(one for one in seen.replicas if one.replica_id in asked))
        return self.observe(deployment_id, asked) != seen

    def _show(self, anchor: Anchor, pod: Pod, listed: Listed) -> ObservedReplica:
        template = anchor.templates[listed.run_id]
        labels = names.pod_labels(anchor.project_id, anchor.deployment_id, listed.run_id, listed.replica_id)
        is_changed = is_altered(pod, labels, self._born_with.get(pod.uid, template.image))
        is_lost = self.places.is_lost(pod)
        return pods.show(
            pod,
            listed,
            template,
            said=[
                self.events.items[name] for name in self._said.get(pod.uid, ()) if name in self.events.items
            ],
            is_lost=is_lost,
            is_held=is_lost and self.places.is_held(pod),
            must_move=self.places.must_move(pod) or (MoveReason.POD_CHANGED if is_changed else None),
        )

    async def watch(self) -> AsyncIterator[Changed]:
        """See the port."""
        watcher = _Watcher()
        self._watchers.append(watcher)
        try:
            await self.wait_until_known()
            watcher.take()
            yield EVERYTHING
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_CHECKED_EVERY_S):
                        await watcher.news.wait()
                await self.wait_until_known()
                if watcher.news.is_set():
                    yield watcher.take()
        finally:
            self._watchers.remove(watcher)

    def tell_admitted(self, deployment_ids: Collection[str]) -> None:
        """That something that was refused to each of them would be made by now."""
        for watcher in self._watchers:
            watcher.admitted.update(deployment_ids)
            watcher.news.set()

    async def _check_server(self) -> None:
        version = await self._client.version()
        if version < OLDEST:
            present, oldest = (".".join(map(str, each)) for each in (version, OLDEST))
            raise ClusterUnavailable(f"Kubernetes is {present}; allowed: {oldest} and later")
        await self._client.check_namespace()

    def _on_pod(self, before: Pod | None, after: Pod | None) -> None:
        self.places.take(before, after)
        if after is None and before is not None:
            self._born_with.pop(before.uid, None)
        if after is not None:
            if after.is_as_made:
                self._born_with[after.uid] = after.image
            was_ready = self._was_ready.pop(after.replica_id, False)
            self._was_ready[after.replica_id] = was_ready or after.is_ready
        if len(self._was_ready) > _REMEMBERED + len(self.pods.items):
            self._was_ready.pop(next(iter(self._was_ready)))
        for pod in (before, after):
            if pod is not None:
                of_deployment = self._pods_of.setdefault(pod.deployment_id, set())
                (of_deployment.discard if pod is before else of_deployment.add)(pod.name)
                if not of_deployment:
                    del self._pods_of[pod.deployment_id]
                self._tell(pod.deployment_id)

    def _on_anchor(self, before: AnchorObject | None, after: AnchorObject | None) -> None:
        self.written.take(before, after)
        if after is not None and not after.is_as_written:
            logger.warning("an anchor was changed by hand", name=after.name)
        for held in (before, after):
            if held is not None:
                self._tell(held.deployment_id)

    def _on_event(self, before: Saying | None, after: Saying | None) -> None:
        if before is not None and after is None:
            # That it is forgotten by now, an hour later, says nothing of its pod.
            of_pod = self._said.get(before.pod_uid, set())
            of_pod.discard(before.name)
            if not of_pod:
                self._said.pop(before.pod_uid, None)
        if after is not None:
            self._said.setdefault(after.pod_uid, set()).add(after.name)
            pod = self.pods.items.get(after.pod)
            if pod is not None and pod.uid == after.pod_uid:
                self._tell(pod.deployment_id)

    def _on_place(self, node: str | None) -> None:
        if node is None:
            self._tell_of_everything()
            return
        for deployment_id in {pod.deployment_id for pod in self.pods.items.values() if pod.node == node}:
            self._tell(deployment_id)

    def _tell(self, deployment_id: str) -> None:
        self.changes += 1
        for watcher in self._watchers:
            watcher.changed.add(deployment_id)
            watcher.news.set()

    def _on_set_back(self) -> None:
        self._pods_of = {}
        for pod in self.pods.items.values():
            self._pods_of.setdefault(pod.deployment_id, set()).add(pod.name)
        self.places.start_again()
        for pod in self.pods.items.values():
            self.places.take(None, pod)
        self._tell_of_everything()

    def _tell_of_everything(self) -> None:
        self.changes += 1
        for watcher in self._watchers:
            watcher.has_missed = True
            watcher.news.set()
