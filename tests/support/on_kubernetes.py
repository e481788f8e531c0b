"""The whole platform where replicas are pods: how it is told so, and what tests ask of both."""

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from libs.common.cluster.kubernetes import names
from tests.support.kubelab.control_plane import ControlPlane
from tests.support.kubelab.states import STOP_DELAY
from tests.support.live_platform import Json, LivePlatform, hello

WATCHERS = ("health", "reconciler")
"""Whoever asks the API server all the time."""


def on_kubernetes(kubeconfig: Path, namespace: str) -> dict[str, str]:
    """The settings that say so."""
    return {
        "SPECSTREAM_CLUSTER": "kubernetes",
        "SPECSTREAM_KUBECONFIG": str(kubeconfig),
        "SPECSTREAM_KUBE_NAMESPACE": namespace,
    }


def spec_of(name: str, *, replicas: int = 2, **env: str) -> Json:
    """Simulated nodes play a container that has no command of its own."""
    spec = hello(name, replicas=replicas, **env)
    del spec["command"]
    return spec


def stopping_takes(delay: str | None) -> Json:
    """What a pod is told whose container takes so long to end; None for no longer than it needs."""
    return {"metadata": {"annotations": {STOP_DELAY: delay}}}


async def pods(world: Any) -> dict[str, str]:
    """The uid of each pod that nobody deleted, by its replica; world has a client and a namespace."""
    path = f"/api/v1/namespaces/{world.namespace}/pods"
    listed = await asyncio.to_thread(world.client.get, path)
    return {
        pod["metadata"]["labels"][names.REPLICA]: pod["metadata"]["uid"]
        for pod in listed["items"]
        if "deletionTimestamp" not in pod["metadata"]
    }


async def problems(platform: LivePlatform) -> Mapping[str, str]:
    """Of each service that does not do its work."""
    answer = await platform.http.get("/health")
    if answer.status_code == httpx.codes.OK:
        return {}
    found: Mapping[str, str] = answer.json()["details"]["problems"]
    return found


async def shown(platform: LivePlatform, deployment_id: str) -> set[str]:
    return {one["id"] for one in await platform.instances(deployment_id)}


class OwnCluster:
    """A cluster that one test has for itself, with its replicas in the namespace that each cluster has."""

    namespace = "default"

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.client = plane.client

    async def started(self, platform: LivePlatform, **settings: str) -> LivePlatform:
        """The platform, which runs on it from now on."""
        platform.environment |= {**on_kubernetes(self.plane.kubeconfig, self.namespace), **settings}
        await platform.start_and_wait()
        return platform

    async def get(self, path: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = await asyncio.to_thread(self.client.get, path)
        return answer

    async def node_of(self, replica_id: str) -> str:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{names.pod_name(replica_id)}"
        return str((await self.get(path))["spec"]["nodeName"])

    async def evict(self, replica_id: str) -> Any:
        """The answer to the request that a drain makes for each pod."""
        pod = {"name": names.pod_name(replica_id), "namespace": self.namespace}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['name']}/eviction"
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": pod}
        return await asyncio.to_thread(self.client.ask, "POST", path, eviction)

    async def drain(self, node: str) -> subprocess.CompletedProcess[str]:
        """As an operator does, without any force."""
        argv = [self.plane.program, "kubectl", f"--kubeconfig={self.plane.kubeconfig}"]
        argv += ["drain", node, "--timeout=300s"]
        return await asyncio.to_thread(
            subprocess.run, argv, capture_output=True, text=True, check=False, timeout=330
        )
