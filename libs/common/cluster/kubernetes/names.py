"""Every name and label of what the adapter has on a Kubernetes cluster. Pure."""

from typing import Final

MANAGER: Final = "specstream"
"""Who manages the objects: the value of `MANAGED_BY`."""
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
COMPONENT: Final = "app.kubernetes.io/component"

PROJECT: Final = "specstream/project"
DEPLOYMENT: Final = "specstream/deployment"
RUN: Final = "specstream/run"
REPLICA: Final = "specstream/replica"
"""Labels of a pod. An anchor has the first two."""

REGION: Final = "topology.kubernetes.io/region"
ZONE: Final = "topology.kubernetes.io/zone"
"""Labels of a node, as cloud providers set them."""

POD_LABELS: Final = (MANAGED_BY, COMPONENT, PROJECT, DEPLOYMENT, RUN, REPLICA)

SPEC: Final = "specstream/spec"
"""Annotation of a pod: the spec it was created for."""
TRACEPARENT: Final = "specstream/traceparent"
"""Annotation of a pod: the trace of the change behind it."""
MAY_BE_EVICTED: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict"
"""Annotation of a pod. Without it that autoscaler takes a pod without a controller it knows for one that
nobody replaces, and never removes the node below it."""

ANCHORS: Final = "anchor"
REPLICAS: Final = "replica"
"""Values of `COMPONENT`."""

CONTAINER: Final = "replica"
"""The one container of a pod."""
SERVICE_ACCOUNT: Final = "specstream-replica"
PRIORITY_CLASS: Final = "specstream-replica"
BUDGET: Final = "specstream-replicas"


def anchor_name(deployment_id: str) -> str:
    return f"d-{deployment_id}"


def deployment_of(anchor: str) -> str:
    """By the name of its anchor."""
    return anchor.removeprefix("d-")


def replica_of(pod: str) -> str:
    """By the name of its pod."""
    return pod.removeprefix("r-")


def pod_name(replica_id: str) -> str:
    return f"r-{replica_id}"


def anchor_labels(project_id: str, deployment_id: str) -> dict[str, str]:
    return {MANAGED_BY: MANAGER, COMPONENT: ANCHORS, PROJECT: project_id, DEPLOYMENT: deployment_id}


def pod_labels(project_id: str, deployment_id: str, run_id: str, replica_id: str) -> dict[str, str]:
    return {
        MANAGED_BY: MANAGER,
        COMPONENT: REPLICAS,
        PROJECT: project_id,
        DEPLOYMENT: deployment_id,
        RUN: run_id,
        REPLICA: replica_id,
    }


def selector(component: str) -> str:
    """The label selector of one kind of our objects."""
    return f"{MANAGED_BY}={MANAGER},{COMPONENT}={component}"
