"""The simulated nodes: machines with GPUs that are only entries in the API server. Pure."""

from dataclasses import dataclass
from typing import Any

MANAGED = "kwok.x-k8s.io/node"
"""The label of a node whose kubelet KWOK plays. A node that loses it falls silent; of an annotation KWOK
would not notice that."""

SIMULATED = "fake"

METRICS_PATH = "metrics.k8s.io/resource-metrics-path"


@dataclass(frozen=True, slots=True)
class Kind:
    """Nodes that are alike. product: what the GPU operator's label says."""

    name: str
    product: str
    gpus: int
    cpus: int
    memory_gib: int
    zones: tuple[str, ...]
    """One node in each entry."""


KINDS = (
    Kind(
        "h100",
        "NVIDIA-H100-80GB-HBM3",
        8,
        192,
        2048,
        ("east-a", "east-b", "east-c") * 2 + ("west-a", "west-b"),
    ),
    Kind(
        "a100",
        "NVIDIA-A100-SXM4-80GB",
        4,
        96,
        1024,
        ("east-a", "east-b", "east-c", "west-a", "west-b", "west-a"),
    ),
    Kind("t4", "Tesla-T4", 1, 16, 64, ("east-a", "east-b", "east-c", "west-a", "west-b", "west-b")),
)
"""20 nodes in two regions: 94 GPUs."""


def simulated_nodes(*, taint: str = "") -> list[dict[str, Any]]:
    """taint: only what tolerates this key is placed on them; for a cluster that has real nodes too."""
    return [
        simulated_node(
            f"{kind.name}-{number}",
            gpus=kind.gpus,
            cpus=kind.cpus,
            memory_gib=kind.memory_gib,
            product=kind.product,
            zone=zone,
            taint=taint,
        )
        for kind in KINDS
        for number, zone in enumerate(kind.zones)
    ]


def simulated_node(
    name: str,
    *,
    gpus: int,
    cpus: int = 16,
    memory_gib: int = 64,
    product: str = "Tesla-T4",
    zone: str = "east-a",
    taint: str = "",
) -> dict[str, Any]:
    has = {
        "cpu": str(cpus),
        "memory": f"{memory_gib}Gi",
        "ephemeral-storage": "2Ti",
        "pods": "1000",
        "nvidia.com/gpu": str(gpus),
    }
    region, _, _ = zone.partition("-")
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {METRICS_PATH: f"/metrics/nodes/{name}/metrics/resource"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "nvidia.com/gpu.product": product,
                "topology.kubernetes.io/region": region,
                "topology.kubernetes.io/zone": zone,
                MANAGED: SIMULATED,
            },
        },
        "spec": {"taints": [{"key": taint, "effect": "NoSchedule"}] if taint else []},
        "status": {"capacity": has, "allocatable": has},
    }
