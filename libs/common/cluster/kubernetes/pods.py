"""A pod as the API server has it, and what it says about its replica. Pure.

Only the fields that say something are kept, so that two versions of a pod are equal when nothing of use has
changed, and what Kubernetes adds later changes nothing. Messages hold no back-off time and no count of tries:
each would be news again and again.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from libs.common.cluster.kubernetes import names, sayings
from libs.common.cluster.kubernetes.anchor import Listed
from libs.common.cluster.kubernetes.containers import (
    CRASHED,
    NEVER_STARTED,
    PULL_FAILED,
    START_FAILED,
    Container,
    moment,
    parse_container,
    restart_at,
)
from libs.common.cluster.kubernetes.quantities import quantity
from libs.common.cluster.kubernetes.sayings import Saying
from libs.common.cluster.port import Exit, ObservedReplica, ReplicaPhase
from libs.common.events.replica import ReplicaReason
from libs.common.events.rollout import MoveReason
from libs.common.spec.template import Template

JSON = Mapping[str, Any]
_NOTHING: Final[JSON] = MappingProxyType({})

_EVICTIONS: Final = frozenset(
    {"EvictionByEvictionAPI", "DeletionByTaintManager", "DeletionByPodGC", "TerminationByKubelet"}
)
_PREEMPTIONS: Final = frozenset({"PreemptionByScheduler", "Preempting"})
_PULL_BACK_OFF: Final = re.compile(r'^Back-off pulling image "[^"]*"(?:: \w+)?(?:: )?')


@dataclass(frozen=True, slots=True)
class Condition:
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Pod:
    name: str
    uid: str
    version: int = field(compare=False)
    """Its resource version; a greater one is newer."""
    deployment_id: str
    """By its controller, whatever its labels say."""
    replica_id: str
    """By its name."""
    labels: Mapping[str, str]
    """Those of ours that it has."""
    image: str
    """Of the one container."""
    is_as_made: bool
    """Whether its spec is as it was when it was made."""
    spec_id: str
    owner_uid: str
    """Of its controller."""
    traceparent: str | None
    created_at: datetime
    is_deleted: bool
    """Whether somebody has deleted it; it is gone when its containers have ended."""
    phase: str
    """As Kubernetes has it: `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`."""
    reason: str
    message: str
    node: str
    ip: str | None
    conditions: Mapping[str, Condition]
    container: Container
    cpus: float | None = None
    """What the one container may use."""
    memory_gib: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether its containers ended for good: evicted, preempted or refused by the kubelet."""
        return self.phase in ("Failed", "Succeeded")

    @property
    def is_ending(self) -> bool:
        return self.is_deleted or self.has_ended

    @property
    def is_ready(self) -> bool:
        """By its condition, which is taken from it when its node falls silent."""
        ready = self.conditions.get("Ready")
        return self.container.is_ready if ready is None else ready.status == "True"

    @property
    def is_lost(self) -> bool:
        """Whether its node is silent: what the kubelet has said last is taken back by somebody else."""
        return self.container.state == "running" and self.container.is_ready and not self.is_ready


def parse(raw: JSON) -> Pod:
    """From the object of the API."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or _NOTHING, raw.get("status") or _NOTHING
    labels = metadata.get("labels") or _NOTHING
    annotations = metadata.get("annotations") or _NOTHING
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), _NOTHING)
    containers = {one["name"]: one for one in spec.get("containers") or ()}
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        deployment_id=names.deployment_of(owner.get("name", "")) or labels.get(names.DEPLOYMENT, ""),
        replica_id=names.replica_of(metadata["name"]),
        labels={name: labels[name] for name in names.POD_LABELS if name in labels},
        image=containers.get(names.CONTAINER, _NOTHING).get("image", ""),
        is_as_made=metadata.get("generation", 1) <= 1,
        spec_id=annotations.get(names.SPEC, ""),
        owner_uid=owner.get("uid", ""),
        traceparent=annotations.get(names.TRACEPARENT),
        created_at=moment(metadata["creationTimestamp"]),
        is_deleted=metadata.get("deletionTimestamp") is not None,
        phase=status.get("phase", "Pending"),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        node=spec.get("nodeName") or "",
        ip=status.get("podIP") if spec.get("nodeName") else None,
        conditions={
            one["type"]: Condition(one["status"], one.get("reason") or "", one.get("message") or "")
            for one in status.get("conditions") or ()
            if one["type"] in ("PodScheduled", "Ready", "DisruptionTarget")
        },
        container=parse_container(status),
        cpus=_limit(spec, "cpu"),
        memory_gib=None if (memory := _limit(spec, "memory")) is None else memory / 1024**3,
    )


def _limit(spec: JSON, resource: str) -> float | None:
    for container in spec.get("containers") or ():
        if container.get("name") == names.CONTAINER:
            return quantity(str(((container.get("resources") or {}).get("limits") or {}).get(resource, "")))
    return None


def show(
    pod: Pod,
    listed: Listed,
    template: Template,
    *,
    said: Sequence[Saying] = (),
    is_lost: bool | None = None,
    is_held: bool = False,
    must_move: MoveReason | None = None,
) -> ObservedReplica:
    """The replica of a pod that its anchor lists.

    said: the kubelet's events about it. is_lost: whether its node is silent, None for what the pod tells of
    it. is_held: that this says nothing, for so many are silent that nobody can tell what is lost; nothing is
    concluded about it then.

    | the pod                                  | phase    | reason                                           |
    |------------------------------------------|----------|--------------------------------------------------|
    | deleted, as its anchor says              | stopping | none                                             |
    | deleted by somebody else, evicted, ended | stopping | `deleted`, `evicted`, `preempted`, `rejected`    |
    | cannot be scheduled                      | pending  | `unschedulable`                                  |
    | its image is fetched, by its events      | pending  | `pulling`                                        |
    | its image cannot be had                  | pending  | `image_pull`                                     |
    | its container cannot be made or started, | pending  | `cannot_start`                                   |
    | or, by its events, what it needs cannot  |          |                                                  |
    | be had                                   |          |                                                  |
    | its container has ended                  | exited   | of the exit: `out_of_memory`, `condemned` by its |
    |                                          |          | events, or none: the exit says it                |
    | its container runs                       | running  | none; `ready` says what the kubelet's probes say |
    | its container ran, its node is silent    | running  | `node_lost`, not ready                           |
    | anything else                            | pending  | none                                             |
    """
    container = pod.container
    is_lost = pod.is_lost if is_lost is None else is_lost
    phase, reason, message = _situation(pod, listed, template, said, is_lost=is_lost)
    has_process = phase in (ReplicaPhase.RUNNING, ReplicaPhase.STOPPING)
    return ObservedReplica(
        replica_id=listed.replica_id,
        run_id=listed.run_id,
        spec_id=listed.spec_id,
        template=template,
        phase=phase,
        created_at=pod.created_at,
        host=pod.ip,
        ports={port: port for port in template.ports} if pod.ip is not None else None,
        attempt=container.restarts,
        started_at=container.started_at,
        last_exit=_why_it_ended(container, said),
        restart_at=restart_at(container) if phase is ReplicaPhase.EXITED else None,
        message=message or None,
        reason=reason,
        ready=pod.is_ready and not is_lost if has_process and not (is_lost and is_held) else None,
        must_move=must_move,
        failed_before=listed.failed_before,
        traceparent=pod.traceparent,
    )


def _situation(
    pod: Pod, listed: Listed, template: Template, said: Sequence[Saying], *, is_lost: bool
) -> tuple[ReplicaPhase, ReplicaReason | None, str]:
    container = pod.container
    if pod.is_ending:
        return (ReplicaPhase.STOPPING, *_why_it_ends(pod, listed))
    scheduled = pod.conditions.get("PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        return ReplicaPhase.PENDING, ReplicaReason.UNSCHEDULABLE, _unschedulable(scheduled)
    if is_lost and container.state == "running":
        return ReplicaPhase.RUNNING, ReplicaReason.NODE_LOST, f"its node {pod.node} does not answer"
    if container.state == "running":
        return ReplicaPhase.RUNNING, None, _not_ready(pod, said)
    if container.state == "terminated" or container.reason == CRASHED:
        ended = _why_it_ended(container, said) or Exit()
        if container.never_started:
            return ReplicaPhase.PENDING, ended.reason, ended.said
        return ReplicaPhase.EXITED, ended.reason, ended.said
    if container.reason in PULL_FAILED:
        answer = _PULL_BACK_OFF.sub("", container.message) or container.reason
        named = answer if pod.image in answer else f"{pod.image}: {answer}"
        return ReplicaPhase.PENDING, ReplicaReason.IMAGE_PULL, named
    if container.reason in START_FAILED:
        return (
            ReplicaPhase.PENDING,
            ReplicaReason.CANNOT_START,
            sayings.steady(container.message) or container.reason,
        )
    if (waits := sayings.why_it_waits(said, template.image)) is not None:
        return ReplicaPhase.PENDING, *waits
    return ReplicaPhase.PENDING, None, ""


def _why_it_ended(container: Container, said: Sequence[Saying]) -> Exit | None:
    """How the process before, or this one, ended, with what the kubelet knows of the cause."""
    ended = container.ended
    if ended is None:
        return None
    if container.ended_because == "OOMKilled":
        return replace(ended, reason=ReplicaReason.OUT_OF_MEMORY, said="ran out of its memory")
    if container.ended_because in NEVER_STARTED:
        message = sayings.steady(container.ended_message) or container.ended_because
        return replace(ended, reason=ReplicaReason.CANNOT_START, said=message)
    check = sayings.condemned(said, container.ended_started_at, ended.at)
    return ended if check is None else replace(ended, reason=ReplicaReason.CONDEMNED, said=check)


def _why_it_ends(pod: Pod, listed: Listed) -> tuple[ReplicaReason | None, str]:
    """Nothing where we have told it to end."""
    target = pod.conditions.get("DisruptionTarget")
    why = {pod.reason, target.reason if target is not None and target.status == "True" else ""}
    said = pod.message or (target.message if target is not None else "")
    if listed.is_stopping and pod.is_deleted:
        return None, ""
    if why & _PREEMPTIONS:
        return ReplicaReason.PREEMPTED, said or "preempted by the scheduler"
    if why & _EVICTIONS or "Evicted" in why:
        return ReplicaReason.EVICTED, said or "evicted from its node"
    if pod.has_ended:
        return (
            ReplicaReason.REJECTED,
            f"{pod.reason or pod.phase}: {said}" if said else pod.reason or pod.phase,
        )
    return ReplicaReason.DELETED, "its pod was deleted by somebody else"


def _unschedulable(scheduled: Condition) -> str:
    """`0/3 nodes are available: 3 Insufficient cpu.`, without what it says about preemption."""
    return scheduled.message.partition(" preemption:")[0] or scheduled.reason


def _not_ready(pod: Pod, said: Sequence[Saying]) -> str:
    ready = pod.conditions.get("Ready")
    if pod.container.is_ready or ready is None or ready.status == "True":
        return ""
    return sayings.failed_check(said, pod.container.started_at) or "the readiness check does not succeed"
