"""The objects that the adapter writes, as plain JSON. Pure."""

import math
from typing import Any, Final

from libs.common.cluster.kubernetes import acceptance, names, pod_security
from libs.common.cluster.kubernetes import anchor as anchors
from libs.common.cluster.kubernetes.anchor import Anchor, Listed
from libs.common.cluster.kubernetes.placement import (
    machine_type_of,
    make_mounts,
    make_placement,
    make_resources,
)
from libs.common.cluster.kubernetes.probes import make_probes
from libs.common.machine_types.catalogue import MachineTypes
from libs.common.spec.template import Template

Manifest = dict[str, Any]

PRE_STOP_S: Final = 3
"""A pod that ends goes on serving for so long first: whoever routes to it has seen by then that it ends."""
_HOST: Final = "kubernetes.io/hostname"


def make_anchor(anchor: Anchor, *, namespace: str, version: str | None = None) -> Manifest:
    """version: the resource version that it replaces; None for a new one."""
    metadata: Manifest = {
        "name": names.anchor_name(anchor.deployment_id),
        "namespace": namespace,
        "labels": names.anchor_labels(anchor.project_id, anchor.deployment_id),
    }
    if version is not None:
        metadata["resourceVersion"] = version
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": anchors.to_data(anchor)}


def make_pod(
    anchor: Anchor,
    replica: Listed,
    *,
    machine_types: MachineTypes,
    anchor_uid: str,
    namespace: str,
    grace_s: float,
    drain_s: float,
    has_zones: bool,
    security: pod_security.Level,
    traceparent: str | None = None,
) -> Manifest:
    """grace_s: between SIGTERM and SIGKILL when we end it. drain_s: how long its requests may take when
    somebody else does. has_zones: whether each node says in which zone it is; the scheduler spreads nothing
    over those that lack a label which it is to spread by, not even by the others. security: how much the
    namespace allows.

    Raises CannotApply for a machine type that this cluster cannot provide, and for what no pod can have."""
    template = anchor.templates[replica.run_id]
    acceptance.check(template)
    labels = names.pod_labels(anchor.project_id, anchor.deployment_id, replica.run_id, replica.replica_id)
    annotations = {names.SPEC: replica.spec_id, names.MAY_BE_EVICTED: "true"}
    if traceparent is not None:
        annotations[names.TRACEPARENT] = traceparent
    machine_type = machine_type_of(template.machine_type, machine_types)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.pod_name(replica.replica_id),
            "namespace": namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "name": names.anchor_name(anchor.deployment_id),
                    "uid": anchor_uid,
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            "restartPolicy": "Always",
            "serviceAccountName": names.SERVICE_ACCOUNT,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            **make_placement(machine_type, template.region),
            "terminationGracePeriodSeconds": PRE_STOP_S + math.ceil(max(drain_s, grace_s)),
            "securityContext": pod_security.of_pod(security),
            "topologySpreadConstraints": [
                _spread(key, replica.run_id) for key in ((_HOST, names.ZONE) if has_zones else (_HOST,))
            ],
            "containers": [
                {
                    "name": names.CONTAINER,
                    "image": template.image,
                    **({"command": list(template.command)} if template.command else {}),
                    "env": _env(anchor.deployment_id, replica, template),
                    "ports": [{"containerPort": port, "protocol": "TCP"} for port in template.ports],
                    "resources": make_resources(machine_type),
                    **make_mounts(machine_type),
                    "securityContext": pod_security.of_container(security),
                    "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_S}}},
                    **make_probes(template, condemned_s=PRE_STOP_S + math.ceil(grace_s)),
                }
            ],
        },
    }


def make_budget(*, namespace: str) -> Manifest:
    """One for all replicas: no eviction takes one that is ready, since only we know when it may go.

    Only an absolute number works with an owner that has no scale of its own.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": names.BUDGET,
            "namespace": namespace,
            "labels": {names.MANAGED_BY: names.MANAGER},
        },
        "spec": {
            "minAvailable": 2147483647,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": {names.MANAGED_BY: names.MANAGER, names.COMPONENT: names.REPLICAS}},
        },
    }


def _env(deployment_id: str, replica: Listed, template: Template) -> list[dict[str, str]]:
    """Ours, then the spec's, whose values may refer to ours and to earlier ones."""
    first, *further = template.ports
    ours = {
        "PORT": str(first),
        **{f"PORT_{port}": str(port) for port in further},
        "SPECSTREAM_DEPLOYMENT_ID": deployment_id,
        "SPECSTREAM_RUN_ID": replica.run_id,
        "SPECSTREAM_REPLICA_ID": replica.replica_id,
    }
    named = [*ours.items(), *((entry.name, entry.value) for entry in template.env)]
    return [{"name": name, "value": value} for name, value in named]


def _spread(topology_key: str, run_id: str) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": topology_key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {names.RUN: run_id}},
    }
