"""A node as the API server has it, as far as it says what becomes of the pods there. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from libs.common.cluster.kubernetes import names
from libs.common.events.rollout import MoveReason

JSON = Mapping[str, Any]
_NOTHING: Final[JSON] = MappingProxyType({})

MARKS: Final[Mapping[str, MoveReason]] = MappingProxyType(
    {
        "node.kubernetes.io/unschedulable": MoveReason.NODE_CORDONED,
        "remediator.aks.microsoft.com/unschedulable": MoveReason.NODE_CORDONED,
        "aws-node-termination-handler/rebalance-recommendation": MoveReason.NODE_CORDONED,
        "ToBeDeletedByClusterAutoscaler": MoveReason.NODE_ENDS,
        "karpenter.sh/disrupted": MoveReason.NODE_ENDS,
        "karpenter.sh/disruption": MoveReason.NODE_ENDS,
        "node.cloudprovider.kubernetes.io/shutdown": MoveReason.NODE_ENDS,
        "aws-node-termination-handler/spot-itn": MoveReason.NODE_ENDS,
        "aws-node-termination-handler/scheduled-maintenance": MoveReason.NODE_ENDS,
        "aws-node-termination-handler/asg-lifecycle-termination": MoveReason.NODE_ENDS,
        "cloud.google.com/impending-node-termination": MoveReason.NODE_ENDS,
    }
)
"""Taints that say that a node is to be emptied, by their key; whoever knows another one adds it here. One
whose effect is only a preference says nothing: an autoscaler marks so what it may remove some day."""


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    version: int = field(compare=False)
    """Its resource version; a greater one is newer."""
    mark: MoveReason | None = None
    """Why replicas have to leave it, where it says so itself."""
    is_silent: bool = False
    """Whether Kubernetes has heard nothing of its kubelet for as long as it waits for that."""
    has_zone: bool = False


def parse(raw: JSON) -> Node:
    """From the object of the API."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or _NOTHING, raw.get("status") or _NOTHING
    ready = next((one for one in status.get("conditions") or () if one["type"] == "Ready"), _NOTHING)
    return Node(
        name=metadata["name"],
        version=int(metadata["resourceVersion"]),
        mark=_mark(spec),
        is_silent=ready.get("status") == "Unknown",
        has_zone=names.ZONE in (metadata.get("labels") or _NOTHING),
    )


def _mark(spec: JSON) -> MoveReason | None:
    taints = [one["key"] for one in spec.get("taints") or () if one.get("effect") != "PreferNoSchedule"]
    found = {MARKS[key] for key in taints if key in MARKS}
    if MoveReason.NODE_ENDS in found:
        return MoveReason.NODE_ENDS
    return MoveReason.NODE_CORDONED if found or spec.get("unschedulable") else None
