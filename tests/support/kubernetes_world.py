"""A Kubernetes cluster as a contract test sees it: the hand inside is the kubelet's of its simulated nodes.

A pod whose annotation `sim/state` is a word that they do not know stays as it is, so a test can write its
status as a kubelet would.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from libs.common.clock import utc_now
from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.manifests import make_budget
from libs.common.cluster.port import Checked, ObservedReplica
from tests.support.kubelab.simulated import pod
from tests.support.played_kubelets import PlayedKubelets
from tests.support.polling import eventually, waited_for

STATE = "sim/state"
BY_HAND = "by-hand"
GROUP = "/apis/scheduling.k8s.io/v1/priorityclasses"


def prepare(client: Any, namespace: str) -> None:
    """What infra/kubernetes/replicas makes, as far as pods need it, and the platform once for all of them."""
    client.patch(
        f"/api/v1/namespaces/{namespace}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
    )
    client.create(
        f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": names.SERVICE_ACCOUNT}}
    )
    budget = make_budget(namespace=namespace)
    client.create(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets", budget)
    made = client.ask(
        "POST",
        GROUP,
        {"metadata": {"name": names.PRIORITY_CLASS}, "value": 0, "preemptionPolicy": "Never"},
    )
    assert made.status_code in (201, 409), made.text
    first = pod("first")
    first["spec"]["priorityClassName"] = names.PRIORITY_CLASS
    pods = f"/api/v1/namespaces/{namespace}/pods"
    waited_for(
        # Admission hears of the class and of the label a moment later; it looks for the class first.
        lambda: "violates PodSecurity" in client.ask("POST", pods, first, dryRun="All").text,
        because="pods of the priority class are refused for another reason, or not at all",
    )


class KubernetesWorld:
    """client: may do everything; blocking. replicas: shows those of the deployment that a test has. kubelets:
    have what containers wrote, where somebody plays that."""

    def __init__(
        self,
        cluster: KubernetesCluster,
        simulated: Any,
        namespace: str,
        replicas: Callable[..., Any],
        kubelets: PlayedKubelets | None = None,
    ) -> None:
        self.cluster = cluster
        self.client = simulated.client
        self.kubeconfig: Path = simulated.kubeconfig
        self.namespace = namespace
        self._replicas = replicas
        self._kubelets = kubelets

    def command(self, becomes: Checked) -> tuple[str, ...]:
        raise NotImplementedError(f"the kubelet runs the checks of this cluster, so nothing is {becomes}")

    async def until(self, condition):
        shown: tuple[ObservedReplica, ...] = ()

        async def holds() -> bool:
            nonlocal shown
            shown = await self._replicas(self.cluster)
            return bool(condition(shown))

        await eventually(holds, because="the replicas never came to be so")
        return shown

    async def until_gone(self) -> None:
        async def is_gone() -> bool:
            return not await self.cluster.observe()

        await eventually(is_gone)

    async def write(self, replica_id, line):
        if self._kubelets is None:
            pytest.skip("simulated nodes write no logs")
        self._kubelets.write(replica_id, line)

    async def exit(self, replica_id, *, status=None, signal=None):
        """A first end is followed by a new process at once, a later one by a pause of 10 seconds."""
        pod = await self.pod(replica_id)
        (container,) = pod["status"]["containerStatuses"]
        now = utc_now()
        ended = {
            "exitCode": status if signal is None else 128 + signal,
            "reason": "Error",
            "startedAt": container["state"]["running"]["startedAt"],
            "finishedAt": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        after = {**container, "lastState": {"terminated": ended}}
        if container["restartCount"] == 0:
            if self._kubelets is not None:
                self._kubelets.crash(replica_id)
            later = now + timedelta(seconds=1)
            after |= {
                "restartCount": 1,
                "state": {"running": {"startedAt": later.strftime("%Y-%m-%dT%H:%M:%SZ")}},
            }
        else:
            said = f"back-off 10s restarting failed container={names.CONTAINER}"
            after |= {
                "ready": False,
                "started": False,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": said}},
            }
        await self.say(replica_id, {"containerStatuses": [after]})

    async def pod(self, replica_id: str) -> dict[str, Any]:
        return await asyncio.to_thread(self.client.get, self.pod_path(replica_id))

    async def say(self, replica_id: str, status: dict[str, Any]) -> None:
        """Write this to the status of a pod, and leave it so."""
        path = self.pod_path(replica_id)
        await asyncio.to_thread(self.client.patch, path, {"metadata": {"annotations": {STATE: BY_HAND}}})
        await asyncio.to_thread(self.client.patch, f"{path}/status", {"status": status})

    def pod_path(self, replica_id: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{names.pod_name(replica_id)}"
