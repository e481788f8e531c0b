"""What tests do with simulated pods and nodes."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.kubelab.client import Client, Json
from tests.support.kubelab.control_plane import is_ready
from tests.support.kubelab.nodes import MANAGED, SIMULATED, simulated_node
from tests.support.kubelab.states import EXIT_CODE, MESSAGE, READY_DELAY, STATE, STOP_DELAY, State
from tests.support.polling import waited_for


def annotations(
    state: State | None = None,
    *,
    message: str | None = None,
    exit_code: int | None = None,
    ready_delay_s: float | None = None,
    stop_delay_s: float | None = None,
) -> dict[str, str | None]:
    """What tells a pod. As a patch, what is None here is taken away."""
    return {
        STATE: state,
        MESSAGE: message,
        EXIT_CODE: None if exit_code is None else str(exit_code),
        READY_DELAY: None if ready_delay_s is None else f"{ready_delay_s}s",
        STOP_DELAY: None if stop_delay_s is None else f"{stop_delay_s}s",
    }


def pod(name: str, state: State | None = None, *, gpus: int = 0, node: str = "", **told: Any) -> Json:
    """A small pod that nothing restarts elsewhere. node: the only one it may be placed on."""
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    return {
        "metadata": {
            "name": name,
            "annotations": {k: v for k, v in annotations(state, **told).items() if v is not None},
        },
        "spec": {
            "containers": [{"name": "main", "image": "simulated/main:1", "resources": {"limits": limits}}],
            "nodeSelector": {"kubernetes.io/hostname": node} if node else {},
            "tolerations": [{"operator": "Exists"}] if node else [],
            "automountServiceAccountToken": False,
        },
    }


def steer(client: Client, namespace: str, name: str, state: State | None = None, **told: Any) -> None:
    """From now on it does this, and nothing of what it was told before."""
    client.patch(
        f"/api/v1/namespaces/{namespace}/pods/{name}",
        {"metadata": {"annotations": annotations(state, **told)}},
    )


def silence(client: Client, node: str) -> None:
    """Its kubelet stops to say anything, and to do anything."""
    client.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {MANAGED: None}}})


def unsilence(client: Client, node: str) -> None:
    client.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {MANAGED: SIMULATED}}})


def cordon(client: Client, node: str, *, taint: str = "") -> None:
    """Nothing new is placed on it. taint: what says so besides, as an autoscaler does."""
    taints = [{"key": taint, "effect": "NoSchedule"}] if taint else []
    client.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": True, "taints": taints}})


def uncordon(client: Client, node: str) -> None:
    client.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": None, "taints": None}})


@contextmanager
def own_node(client: Client, *, gpus: int = 1) -> Iterator[str]:
    """A Ready node on which nothing is placed but what asks for it: `pod(..., node=NAME)`."""
    name = f"own-{uuid.uuid4().hex[:8]}"
    client.create("/api/v1/nodes", simulated_node(name, gpus=gpus, taint="own"))
    try:
        waited_for(lambda: is_ready(client.get(f"/api/v1/nodes/{name}")), because=f"{name} is not Ready")
        yield name
    finally:
        client.delete(f"/api/v1/nodes/{name}")
