"""Somebody else ends the pod of a replica while clients call it: real pods, real calls.

It holds promise 3: whatever takes a pod lets it have its grace, and no call is lost that ends within it.
"""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from libs.common.cluster.kubernetes import names
from tests.support.kubelab.real_node import BUSYBOX
from tests.support.kubernetes_world import GROUP
from tests.support.live_platform import hello
from tests.support.on_kubernetes import pods
from tests.support.plain_http import plain_client
from tests.support.polling import PATIENCE_S, eventually

CLIENTS = 8
EVENTS, APART_S = 20, 0.4
"""Of an answer that goes on for longer than a pod has before its SIGTERM."""


@dataclass(frozen=True)
class Victim:
    """The pod of a replica, and its node. client: may do everything."""

    client: Any
    path: str
    node_name: str

    @property
    def node(self):
        return f"/api/v1/nodes/{self.node_name}"


async def victim_of(platform, replica_id):
    path = f"/api/v1/namespaces/{platform.namespace}/pods/{names.pod_name(replica_id)}"
    found = await asyncio.to_thread(platform.client.get, path)
    return Victim(platform.client, path, found["spec"]["nodeName"])


@asynccontextmanager
async def deleted(victim, _namespace):
    """As `kubectl delete pod` does it."""
    await asyncio.to_thread(victim.client.delete, victim.path)
    yield


@asynccontextmanager
async def evicted_by_a_taint(victim, _namespace):
    taint = {"key": "test.local/out", "effect": "NoExecute"}
    await asyncio.to_thread(victim.client.patch, victim.node, {"spec": {"taints": [taint]}})
    try:
        yield
    finally:
        await asyncio.to_thread(victim.client.patch, victim.node, {"spec": {"taints": None}})


@asynccontextmanager
async def preempted(victim, namespace):
    """By a pod that matters more and needs all the processors of the node."""
    node = await asyncio.to_thread(victim.client.get, victim.node)
    first = {"metadata": {"name": namespace}, "value": 1_000}
    greedy = {
        "name": "main",
        "image": BUSYBOX,
        "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c", "exec busybox sleep 3600"],
        "resources": {"requests": {"cpu": node["status"]["allocatable"]["cpu"]}},
    }
    spec = {
        "priorityClassName": namespace,
        "nodeSelector": {"kubernetes.io/hostname": victim.node_name},
        "containers": [greedy],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
    }
    path = f"/api/v1/namespaces/{namespace}/pods"
    await asyncio.to_thread(victim.client.create, GROUP, first)
    try:

        async def is_made():
            # Admission hears of the class a moment later.
            pod = {"metadata": {"name": "greedy"}, "spec": spec}
            answer = await asyncio.to_thread(victim.client.ask, "POST", path, pod)
            assert answer.is_success or "no PriorityClass" in answer.text, answer.text
            return answer.is_success

        await eventually(is_made, every_s=0.1)
        yield
    finally:
        await asyncio.to_thread(victim.client.delete, f"{path}/greedy")
        await asyncio.to_thread(victim.client.delete, f"{GROUP}/{namespace}")


@pytest.mark.parametrize("taken", [deleted, preempted, evicted_by_a_taint])
async def test_a_pod_that_somebody_takes_loses_no_call_that_ends_within_its_grace(
    pods_platform, real_namespace, taken
):
    platform = pods_platform
    deployment_id = await platform.deploy(hello("taken", replicas=2, TAKEN=taken.__name__))
    victims = {one: await victim_of(platform, one) for one in await pods(platform)}
    # Whatever takes a node takes one of them.
    assert len({one.node_name for one in victims.values()}) == 2
    async with (
        platform.calling(deployment_id, lanes=CLIENTS) as caller,
        plain_client(base_url=caller.base_url, timeout=PATIENCE_S) as http,
        http.stream(
            "GET", f"/stream?events={EVENTS}&seconds={APART_S}", headers={"host": caller.endpoint}
        ) as answer,
    ):
        lost = answer.headers["x-specstream-replica"]
        async with taken(victims[lost], real_namespace):
            received = await answer.aread()

            async def is_replaced():
                present = await pods(platform)
                return len(present) == 2 and lost not in present

            await eventually(is_replaced, every_s=0.1)
            await platform.settled(deployment_id)
            after = set(await pods(platform))

            def is_served_by_both():
                return after <= {call.replica_id for call in caller.served}

            await eventually(is_served_by_both)
    assert received.count(b"data: ") == EVENTS
    assert not caller.failures()
    stopped = await platform.events(deployment_id, type="ReplicaStopped")
    assert [one["data"]["replica_id"] for one in stopped] == [lost]
    # The next one is to find no pods but its own.
    await platform.delete(deployment_id)
    await platform.gone(deployment_id)
