"""Bringing plans to the cluster: the anchor first, by one conditional write, then what follows from it.

The pod of a replica is asked for once, by whoever has listed it, and never again: when no answer comes it is
looked for, and a replica that has no pod then is dropped at the next plan, where others are made under ids of
their own. So an id never has two pods, and nobody has to know who was interrupted where.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakValueDictionary

import structlog

from libs.common.back_off import BackOff
from libs.common.clock import Clock
from libs.common.cluster.fencing import Fence
from libs.common.cluster.kubernetes import anchor as anchors
from libs.common.cluster.kubernetes import names, pod_security
from libs.common.cluster.kubernetes.altered import is_labelled
from libs.common.cluster.kubernetes.anchor import NOWHERE, Anchor, Listed, Whereabouts
from libs.common.cluster.kubernetes.anchor_object import AnchorObject, parse_anchor
from libs.common.cluster.kubernetes.client import JSON, Client
from libs.common.cluster.kubernetes.knowledge import Knowledge
from libs.common.cluster.kubernetes.manifests import PRE_STOP_S, make_anchor, make_pod
from libs.common.cluster.kubernetes.patience import Unanswered
from libs.common.cluster.kubernetes.pods import Pod, parse
from libs.common.cluster.kubernetes.refusals import Conflicting, NotThere
from libs.common.cluster.kubernetes.trials import Trials
from libs.common.cluster.port import Workload
from libs.common.errors import CannotApply, ClusterUnavailable, DeploymentUnavailable, Fenced
from libs.common.events.envelope import Position
from libs.common.ids import new_id
from libs.common.machine_types.catalogue import MachineTypes

logger = structlog.get_logger()

_MOST_TRIES: Final = 20
_AGAIN: Final = BackOff(0.02, 1.0)

ANCHORS: Final = "configmaps"
PODS: Final = "pods"


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds. grace_s: between SIGTERM and SIGKILL. drain_s: for the requests of a pod that somebody
    else ends. node_lost_s: how long a node may be silent before its replicas are replaced."""

    grace_s: float
    drain_s: float
    node_lost_s: float = 60.0

    @property
    def told_to_end_s(self) -> int:
        """What a pod has that we delete. The kubelet counts what it does before SIGTERM as well."""
        return PRE_STOP_S + math.ceil(self.grace_s)


Change = Callable[[AnchorObject | None, Whereabouts], Anchor | None]


class Writer:
    """One process may have several plans under way, each of another deployment."""

    def __init__(
        self,
        client: Client,
        knowledge: Knowledge,
        trials: Trials,
        *,
        machine_types: MachineTypes,
        timing: Timing,
        security: pod_security.Level,
        clock: Clock,
    ) -> None:
        self._client = client
        self._knowledge = knowledge
        self._trials = trials
        self._machine_types = machine_types
        self._timing = timing
        self._security = security
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def apply(self, workload: Workload, fence: Fence) -> None:
        def change(held: AnchorObject | None, where: Whereabouts) -> Anchor:
            present = held.anchor if held is not None else None
            after = anchors.admit(
                present,
                workload,
                fence,
                where=where,
                new_ids=_new_ids(),
                now=self._clock(),
            )
            # Raises CannotApply before any write. What is there goes on, whatever became of its machine type.
            for one in _added(present, after):
                self._make_pod(after, one, "", workload.traceparent)
            return after

        async with self._lock(workload.deployment_id):
            before, held, after = await self._change(workload.deployment_id, change)
            await _all(
                [
                    *(
                        self._create(
                            self._make_pod(after, one, held.uid, workload.traceparent),
                            workload.deployment_id,
                            held.uid,
                        )
                        for one in _added(before, after)
                    ),
                    *self._deletions(after),
                ]
            )

    async def remove(self, deployment_id: str, fence: Fence) -> None:
        def change(held: AnchorObject | None, where: Whereabouts) -> Anchor:
            present = held.anchor if held is not None else None
            return anchors.remove(present, deployment_id, fence, where=where, now=self._clock())

        async with self._lock(deployment_id):
            _, _, after = await self._change(deployment_id, change)
            await _all(self._deletions(after))

    async def take_over(self, deployment_id: str, *, recorded: Position, fence: Position) -> None:
        def change(held: AnchorObject | None, _: Whereabouts) -> Anchor | None:
            if held is None or held.anchor is None or held.anchor.fence != recorded:
                return None
            return replace(held.anchor, fence=fence)

        async with self._lock(deployment_id):
            await self._change(deployment_id, change, is_cached=False)

    async def anchor_from_server(self, deployment_id: str) -> AnchorObject | None:
        try:
            raw = await self._client.get(ANCHORS, names.anchor_name(deployment_id))
        except NotThere:
            return None
        self._knowledge.anchors.put(raw)
        return self._knowledge.written.mend(parse_anchor(raw))

    async def delete_pod(self, pod: Pod) -> None:
        """Exactly this one; nothing when it is gone."""
        try:
            raw = await self._client.delete(PODS, pod.name, uid=pod.uid, grace_s=self._timing.told_to_end_s)
        except (NotThere, Conflicting):
            return
        # What is gone at once is answered without a version: the watch tells of that.
        if raw.get("kind") == "Pod" and raw["metadata"].get("resourceVersion"):
            self._knowledge.pods.put(raw)

    async def delete_anchor(self, held: AnchorObject) -> None:
        """Exactly this one as it is now; nothing when it is gone or has changed."""
        try:
            await self._client.delete(ANCHORS, held.name, uid=held.uid, version=str(held.version))
        except (NotThere, Conflicting):
            return

    async def _change(
        self, deployment_id: str, change: Change, *, is_cached: bool = True
    ) -> tuple[Anchor | None, AnchorObject, Anchor]:
        """The anchor before, its object, and the anchor after the change. What is cached may be old: it is
        good enough to write over, since that is refused then, and never to refuse a plan by."""
        for tries in range(1, _MOST_TRIES + 1):
            if is_cached:
                held = self._knowledge.anchor(deployment_id)
            else:
                held = await self.anchor_from_server(deployment_id)
            if held is not None and held.anchor is None:
                if not is_cached:
                    raise DeploymentUnavailable(held.problem)
                is_cached = False
                continue
            before = held.anchor if held is not None else None
            try:
                after = change(held, await self._whereabouts(held))
            except Fenced:
                if not is_cached:
                    raise
                is_cached = False
                continue
            if after is None or (held is not None and held.is_as_written and after == before):
                return before, held or _NO_OBJECT, after or before or _NO_ANCHOR
            try:
                raw = await self._write(after, held)
            except (Conflicting, NotThere, Unanswered):
                # Somebody else has changed it, or it may be as we wanted it: the server knows.
                is_cached = False
                await asyncio.sleep(_AGAIN.pause_s(tries))
                continue
            self._knowledge.anchors.put(raw)
            return before, parse_anchor(raw), after
        raise ClusterUnavailable(f"the anchor of {deployment_id} could not be written in {_MOST_TRIES} tries")

    async def _write(self, after: Anchor, held: AnchorObject | None) -> JSON:
        namespace = self._client.namespace
        if held is None:
            return await self._make(ANCHORS, make_anchor(after, namespace=namespace), after.deployment_id)
        manifest = make_anchor(after, namespace=namespace, version=str(held.version))
        manifest["metadata"]["uid"] = held.uid
        return await self._client.replace(ANCHORS, manifest)

    async def _whereabouts(self, held: AnchorObject | None) -> Whereabouts:
        """What is not known of a listed replica is asked of the server: it alone can say that it is not."""
        if held is None or held.anchor is None:
            return NOWHERE
        found = [(one, await self._find(one)) for one in held.anchor.replicas]
        ours = {one.replica_id: pod for one, pod in found if pod is not None and pod.owner_uid == held.uid}
        gone = frozenset(one.replica_id for one, _ in found if one.replica_id not in ours)
        ending = frozenset(replica_id for replica_id, pod in ours.items() if pod.is_ending)
        return Whereabouts(
            gone=gone,
            ending=ending,
            failed=frozenset(one for one in gone | ending if self._knowledge.was_never_ready(one)),
            ready=frozenset(one for one, pod in ours.items() if pod.is_ready),
        )

    async def _find(self, one: Listed) -> Pod | None:
        known = self._knowledge.pod(one.replica_id)
        if known is not None:
            return known
        try:
            raw = await self._client.get(PODS, names.pod_name(one.replica_id))
        except NotThere:
            return None
        pod = parse(raw)
        if not is_labelled(pod):
            # Somebody took the labels away by which we watch it: nothing will tell of it any more.
            logger.warning("deleting a replica whose labels were changed by hand", pod=pod.name)
            with suppress(NotThere, Conflicting):
                await self._client.delete(PODS, pod.name, uid=pod.uid, grace_s=self._timing.told_to_end_s)
            return None
        self._knowledge.pods.put(raw)
        return pod

    def _make_pod(self, anchor: Anchor, one: Listed, uid: str, traceparent: str | None) -> JSON:
        return make_pod(
            anchor,
            one,
            machine_types=self._machine_types,
            anchor_uid=uid,
            namespace=self._client.namespace,
            grace_s=self._timing.grace_s,
            drain_s=self._timing.drain_s,
            has_zones=self._knowledge.places.has_zones,
            security=self._security,
            traceparent=traceparent,
        )

    async def _make(self, resource: str, manifest: JSON, deployment_id: str) -> JSON:
        """What is refused is asked for again when it would be made."""
        try:
            return await self._client.create(resource, manifest)
        except (CannotApply, DeploymentUnavailable) as error:
            self._trials.note(deployment_id, resource, manifest, error)
            raise

    async def _create(self, manifest: JSON, deployment_id: str, anchor_uid: str) -> None:
        """Asked for again only where the server has said that it did not make it."""
        for tries in range(1, _MOST_TRIES + 1):
            try:
                raw = await self._make(PODS, manifest, deployment_id)
            except (Unanswered, Conflicting) as error:
                found = await self._made(manifest["metadata"]["name"])
                if found is not None and parse(found).owner_uid == anchor_uid:
                    raw = found
                elif isinstance(error, Unanswered) or found is not None:
                    raise ClusterUnavailable(str(error)) from error
                else:  # such as a quota that several writes were counted against at once
                    await asyncio.sleep(_AGAIN.pause_s(tries))
                    continue
            self._knowledge.pods.put(raw)
            return
        raise ClusterUnavailable(f"the pod {manifest['metadata']['name']} could not be made")

    async def _made(self, name: str) -> JSON | None:
        try:
            return await self._client.get(PODS, name)
        except NotThere:
            return None

    def _deletions(self, anchor: Anchor) -> list[Awaitable[None]]:
        stopping = (self._knowledge.pod(one.replica_id) for one in anchor.replicas if one.is_stopping)
        return [self.delete_pod(pod) for pod in stopping if pod is not None and not pod.is_deleted]

    @asynccontextmanager
    async def _lock(self, deployment_id: str) -> AsyncIterator[None]:
        async with self._locks.setdefault(deployment_id, asyncio.Lock()):
            await self._knowledge.wait_until_known()
            yield


_NO_OBJECT: Final = AnchorObject("", "", 0, "", None)
_NO_ANCHOR: Final = Anchor("", "", Position(0))


def _added(before: Anchor | None, after: Anchor) -> list[Listed]:
    known = {one.replica_id for one in before.replicas} if before is not None else set()
    return [one for one in after.replicas if one.replica_id not in known]


def _new_ids() -> Iterator[str]:
    while True:
        yield new_id()


async def _all(things: Iterable[Awaitable[None]]) -> None:
    """Each is tried, whatever becomes of the others; then the worst that went wrong is raised."""
    errors = [e for e in await asyncio.gather(*things, return_exceptions=True) if e is not None]
    for error in sorted(errors, key=lambda error: not isinstance(error, CannotApply)):
        raise error
