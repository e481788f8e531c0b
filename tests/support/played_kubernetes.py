"""What the Kubernetes adapter asks an API server for, without one: the server does as it is asked."""

from dataclasses import replace
from typing import Final

from libs.common.clock import Clock
from libs.common.cluster.abilities import KUBERNETES
from libs.common.cluster.fencing import Fence
from libs.common.cluster.kubernetes import anchor as anchors
from libs.common.cluster.kubernetes.anchor import Anchor, Listed, Whereabouts
from libs.common.cluster.kubernetes.anchor_object import parse_anchor
from libs.common.cluster.kubernetes.manifests import Manifest, make_anchor, make_pod
from libs.common.cluster.kubernetes.pods import parse, show
from libs.common.cluster.port import ObservedReplica, ReplicaPhase, RunWorkload, Workload
from libs.common.ids import new_id
from libs.common.machine_types.reading import bundled
from tests.support.native_cluster import NativeCluster

_MADE: Final = {
    "uid": "11111111-2222-3333-4444-555555555555",
    "resourceVersion": "1",
    "creationTimestamp": "2026-01-01T00:00:00Z",
}
"""What the server adds."""


class PlayedKubernetes(NativeCluster):
    def __init__(self, clock: Clock, *, namespace: str = "replicas") -> None:
        super().__init__(clock, KUBERNETES)
        self.made: list[tuple[str, Manifest]] = []
        """Every object that was asked for, each with its resource."""
        self._namespace = namespace
        self._anchors: dict[str, Anchor] = {}
        self._added: list[Listed] = []

    async def apply(self, workload: Workload, *, fence: Fence) -> None:
        before = self._anchors.get(workload.deployment_id)
        where, ids = self._where(before), iter(new_id, None)
        after = anchors.admit(before, workload, fence, where=where, new_ids=ids, now=self._clock())
        known = () if before is None else before.by_id
        self._added = [one for one in after.replicas if one.replica_id not in known]
        pods = [self._pod(after, one, workload.traceparent) for one in self._added]
        self._keep(after)
        self.made += [("pods", pod) for pod in pods]
        await super().apply(workload, fence=fence)

    async def remove(self, deployment_id: str, *, fence: Fence) -> None:
        before = self._anchors.get(deployment_id)
        where = self._where(before)
        self._keep(anchors.remove(before, deployment_id, fence, where=where, now=self._clock()))
        await super().remove(deployment_id, fence=fence)

    def _create(self, run: RunWorkload, traceparent: str | None) -> ObservedReplica:
        """As its anchor lists it."""
        listed = next(one for one in self._added if one.run_id == run.run_id)
        self._added.remove(listed)
        return replace(super()._create(run, traceparent), replica_id=listed.replica_id)

    def _where(self, anchor: Anchor | None) -> Whereabouts:
        if anchor is None:
            return Whereabouts()
        deployment = self._deployments.get(anchor.deployment_id)
        there = {} if deployment is None else deployment.replicas
        return Whereabouts(
            gone=frozenset(anchor.by_id.keys() - there.keys()),
            ending=frozenset(one for one, o in there.items() if o.phase is ReplicaPhase.STOPPING),
            ready=frozenset(one for one, o in there.items() if o.ready),
        )

    def _keep(self, anchor: Anchor) -> None:
        """It is read again as it was written."""
        manifest = make_anchor(anchor, namespace=self._namespace)
        held = parse_anchor(_stored(manifest))
        assert (held.anchor, held.is_as_written, held.problem) == (anchor, True, None)
        self._anchors[anchor.deployment_id] = anchor
        self.made.append(("configmaps", manifest))

    def _pod(self, anchor: Anchor, one: Listed, traceparent: str | None) -> Manifest:
        """It is shown as its anchor lists it."""
        pod = make_pod(
            anchor,
            one,
            machine_types=bundled(),
            anchor_uid=_MADE["uid"],
            namespace=self._namespace,
            grace_s=10.0,
            drain_s=30.0,
            has_zones=True,
            security="restricted",
            traceparent=traceparent,
        )
        found = parse(_stored(pod))
        assert (found.deployment_id, found.spec_id) == (anchor.deployment_id, one.spec_id)
        shown = show(found, one, anchor.templates[one.run_id])
        assert (shown.replica_id, shown.run_id, shown.traceparent) == (
            one.replica_id,
            one.run_id,
            traceparent,
        )
        return pod


def _stored(manifest: Manifest) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], **_MADE}}
