"""The whole platform over a real Kubernetes API: its nodes are simulated, so what is served is not asked."""

import asyncio
import json

import pytest

from libs.common.cluster.kubernetes import names
from tests.support.on_kubernetes import on_kubernetes, pods, shown, spec_of, stopping_takes
from tests.support.polling import eventually


@pytest.fixture
async def platform(own_platform, kubernetes_world):
    own_platform.environment |= on_kubernetes(kubernetes_world.kubeconfig, kubernetes_world.namespace)
    await own_platform.start_and_wait()
    return own_platform


async def test_a_deployment_lives_changes_is_repaired_and_goes(platform, kubernetes_world):
    deployment_id = await platform.deploy(spec_of("simulated"))
    first = await pods(kubernetes_world)
    assert len(first) == 2
    assert await shown(platform, deployment_id) == first.keys()

    # A change: other pods, and the old ones go when the new ones are ready.
    await platform.deploy(spec_of("simulated", VERSION="2"))
    second = await pods(kubernetes_world)
    assert len(second) == 2
    assert not first.keys() & second.keys()

    # Somebody deletes one: it is replaced under another id.
    lost = min(second)
    path = kubernetes_world.pod_path(lost)
    # Or a service that a busy machine lets wait would not see it leave, and call it lost.
    await asyncio.to_thread(kubernetes_world.client.patch, path, stopping_takes("3600s"))
    await asyncio.to_thread(kubernetes_world.client.delete, path)

    async def is_seen_to_leave():
        told = await platform.events(deployment_id, type="ReplicaBecameUnready")
        return lost in {one["data"]["replica_id"] for one in told}

    await eventually(is_seen_to_leave, every_s=0.1)
    await asyncio.to_thread(kubernetes_world.client.patch, path, stopping_takes(None))

    async def is_replaced():
        present = await pods(kubernetes_world)
        is_whole = len(present) == 2 and lost not in present
        return is_whole and await shown(platform, deployment_id) == present.keys()

    await eventually(is_replaced, every_s=0.1)
    await platform.settled(deployment_id)
    stopped = await platform.events(deployment_id, type="ReplicaStopped")
    ended = {one["data"]["replica_id"]: one["data"]["reason"] for one in stopped}
    assert ended.pop(lost) == "deleted"
    assert set(ended.values()) == {"stopped"}

    # The services end and come again: nothing happens to the pods.
    before = await pods(kubernetes_world)
    assert (await platform.run("down")).returncode == 0
    assert await pods(kubernetes_world) == before
    await platform.start_and_wait()
    await platform.settled(deployment_id)
    assert await pods(kubernetes_world) == before

    await platform.delete(deployment_id)
    await platform.gone(deployment_id)
    assert await pods(kubernetes_world) == {}


async def test_what_is_changed_by_hand_is_put_back_and_what_is_not_ours_left_alone(
    platform, kubernetes_world
):
    world = kubernetes_world
    deployment_id = await platform.deploy(spec_of("by-hand"))
    changed, kept = sorted(await pods(world))
    maps = f"/api/v1/namespaces/{world.namespace}/configmaps"
    anchor = await asyncio.to_thread(world.client.get, f"{maps}/d-{deployment_id}")
    stranger = {**anchor, "metadata": {"name": "d-stranger", "labels": anchor["metadata"]["labels"]}}
    await asyncio.to_thread(world.client.create, maps, stranger)

    emptied = {"data": {"plan.json": '{"replicas": []}'}}
    await asyncio.to_thread(world.client.patch, f"{maps}/d-{deployment_id}", emptied)

    async def is_put_back():
        found = await asyncio.to_thread(world.client.get, f"{maps}/d-{deployment_id}")
        listed = json.loads(found["data"]["plan.json"])["replicas"]
        return listed == json.loads(anchor["data"]["plan.json"])["replicas"]

    await eventually(is_put_back)
    assert sorted(await pods(world)) == [changed, kept]

    other = {"metadata": {"labels": {names.RUN: "other"}}}
    await asyncio.to_thread(world.client.patch, world.pod_path(changed), other)

    async def is_replaced():
        present = await pods(world)
        return len(present) == 2 and kept in present and changed not in present

    await eventually(is_replaced)
    await platform.settled(deployment_id)
    retired = await platform.events(deployment_id, type="ReplicasRetiring")
    assert [(one["data"]["reason"], one["data"]["replica_ids"]) for one in retired] == [("moved", [changed])]
    left = await asyncio.to_thread(world.client.get, f"{maps}/d-stranger")
    assert left["data"] == anchor["data"]


@pytest.mark.parametrize(
    ("state", "reason", "message"),
    [
        ("ImagePullBackOff", "image_pull", "specstream/hello: ImagePullBackOff"),
        ("CreateContainerConfigError", "cannot_start", "CreateContainerConfigError"),
        ("Pulling", "pulling", "pulling specstream/hello"),
        (
            "FailedMount",
            "cannot_start",
            'MountVolume.SetUp failed for volume "data" : configmap "settings" not found',
        ),
        (
            "FailedCreatePodSandBox",
            "cannot_start",
            (
                "Failed to create pod sandbox: rpc error: code = Unknown desc = "
                "failed to setup network for sandbox"
            ),
        ),
    ],
)
async def test_why_a_replica_waits_is_said(platform, state, reason, message):
    deployment_id = await platform.submit(spec_of(f"waits-{state.lower()}", replicas=1, SIM_STATE=state))

    async def is_said():
        told = await platform.events(deployment_id, type="ReplicaStarted")
        return any(one["data"]["replica"]["reason"] == reason for one in told)

    await eventually(is_said, every_s=0.1)
    shown: list[tuple[str, str]] = []

    async def is_shown():
        # What a pod waits for and the event that says more come by two ways.
        shown[:] = [(one["state"], one["stateMessage"]) for one in await platform.instances(deployment_id)]
        return shown == [("pending", message)]

    await eventually(is_shown, every_s=0.1, because=lambda: f"it is shown as {shown}")


async def test_what_a_failed_check_has_answered_is_said(platform, kubernetes_world):
    deployment_id = await platform.deploy(spec_of("unready", replicas=1))
    (replica_id,) = await pods(kubernetes_world)
    told = {"metadata": {"annotations": {"sim/state": "NotReady"}}}
    await asyncio.to_thread(kubernetes_world.client.patch, kubernetes_world.pod_path(replica_id), told)

    async def is_said():
        (instance,) = await platform.instances(deployment_id)
        return instance["state"] == "unready" and instance["stateMessage"] == "readiness check: status 503"

    await eventually(is_said, every_s=0.1)
    # The status and the event come by two ways, so it may be told once without the answer.
    facts = await platform.events(deployment_id, type="ReplicaBecameUnready")
    assert {one["data"]["reason"] for one in facts} == {"probe_failed"}
    assert len(facts) <= 2
