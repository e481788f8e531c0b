"""Why a deployment waits or was ended is told within 5 s of Kubernetes knowing it.

It holds promise 8. Each goes on by itself within 10 s when the cause is mended.

The time is taken from what the API server has written to what the log says. On a busy machine anything may
take seconds, so the best of a few deployments counts.
"""

import asyncio
import uuid
from datetime import datetime

import pytest

from libs.common.clock import monotonic, utc_now
from tests.support.kubelab.nodes import simulated_node
from tests.support.on_kubernetes import on_kubernetes, pods, spec_of
from tests.support.polling import eventually
from tests.support.tries import TRIES, soon

WITHIN_S = 5.0
CONVERGED_S = 10.0

TYPES = """\
- {{name: C4, cpus: 1, memoryGib: 1}}
- name: rare
  cpus: 1
  memoryGib: 1
  gpus: 1
  nodeSelector: {{kubernetes.io/hostname: {node}}}
  tolerations: [{{key: own, operator: Exists}}]
"""


@pytest.fixture
def node(kubernetes_world):
    """Where a machine type has its GPUs, of which there is none yet."""
    name = f"rare-{uuid.uuid4().hex[:8]}"
    made = simulated_node(name, gpus=0, taint="own")
    kubernetes_world.client.create("/api/v1/nodes", made)
    yield name
    kubernetes_world.client.delete(f"/api/v1/nodes/{name}")


async def started(platform, world, node, kubeconfig):
    types = platform.home.with_name("types.yaml")
    types.write_text(TYPES.format(node=node))
    platform.environment |= {
        **on_kubernetes(kubeconfig, world.namespace),
        "SPECSTREAM_MACHINE_TYPES": str(types),
    }
    await platform.start_and_wait()
    return platform


@pytest.fixture
async def platform(own_platform, kubernetes_world, node):
    return await started(own_platform, kubernetes_world, node, kubernetes_world.kubeconfig)


def moment(text):
    return datetime.fromisoformat(text)


async def told_soon(platform, spec, is_reason, known_at):
    """The deployments of which it was told, each event with its reason.

    spec: of a name. is_reason: of an event. known_at: since when Kubernetes has known it, of an event.
    """
    found = {}

    async def one_more():
        deployment_id = await platform.submit(spec(f"reason-{uuid.uuid4().hex[:8]}"))

        async def reason():
            return next((one for one in await platform.events(deployment_id) if is_reason(one)), None)

        event = found[deployment_id] = await eventually(reason, every_s=0.1)
        return (moment(event["time"]) - await known_at(deployment_id, event)).total_seconds()

    await soon(one_more, WITHIN_S)
    return found


def waits_for(reason, words):
    def is_reason(event):
        replica = event["data"].get("replica") if event["type"] == "ReplicaStarted" else None
        return bool(replica) and replica["reason"] == reason and words in (replica["message"] or "")

    return is_reason


def of_status(world):
    """When the newest word of its status was written."""

    async def known_at(_, event):
        pod = await world.pod(event["data"]["replica_id"])
        times = [
            one["time"] for one in pod["metadata"]["managedFields"] if one.get("subresource") == "status"
        ]
        return max(map(moment, times))

    return known_at


def of_condition(world):
    async def known_at(_, event):
        pod = await world.pod(event["data"]["replica_id"])
        conditions = {one["type"]: one for one in pod["status"]["conditions"]}
        return moment(conditions["PodScheduled"]["lastTransitionTime"])

    return known_at


async def settled_after(platform, deployment_ids):
    """In how many seconds all of them are."""
    began = monotonic()
    await asyncio.gather(*map(platform.settled, deployment_ids))
    return monotonic() - began


async def test_that_there_is_no_gpu(platform, kubernetes_world, node):
    def spec(name):
        wanted = spec_of(name, replicas=1)
        wanted["resources"]["machineType"] = "rare"
        return wanted

    async def has(gpus):
        there = {"nvidia.com/gpu": str(gpus)}
        await asyncio.to_thread(
            kubernetes_world.client.patch,
            f"/api/v1/nodes/{node}/status",
            {"status": {"capacity": there, "allocatable": there}},
        )

    async def hurt_and_mended():
        await has(0)
        reason = waits_for("unschedulable", "Insufficient nvidia.com/gpu")
        found = await told_soon(platform, spec, reason, of_condition(kubernetes_world))
        await has(TRIES * TRIES)
        return await settled_after(platform, found)

    await soon(hurt_and_mended, CONVERGED_S)


async def test_that_an_image_cannot_be_had(platform, kubernetes_world):
    world = kubernetes_world

    def spec(name):
        return spec_of(name, replicas=1, SIM_STATE="ErrImagePull")

    async def hurt_and_mended():
        found = await told_soon(platform, spec, waits_for("image_pull", "ErrImagePull"), of_status(world))
        there = {"metadata": {"annotations": {"sim/state": "Ready"}}}
        for replica_id in await pods(world):
            await asyncio.to_thread(world.client.patch, world.pod_path(replica_id), there)
        return await settled_after(platform, found)

    await soon(hurt_and_mended, CONVERGED_S)


@pytest.mark.parametrize(
    ("state", "fact", "reason"),
    [
        ("OOMKilled", "ReplicaStopped", "out_of_memory"),
        ("Evicted", "ReplicaBecameUnready", "evicted"),
        ("OutOfcpu", "ReplicaBecameUnready", "rejected"),
    ],
)
async def test_that_a_kubelet_ended_one_that_ran(platform, kubernetes_world, state, fact, reason):
    """From the moment that the kubelet is told to."""
    world = kubernetes_world
    deployment_id = await platform.deploy(spec_of("ended", replicas=1))

    async def one_ends():
        await platform.at_rest(deployment_id)
        (replica_id,) = await pods(world)
        last = (await platform.events(deployment_id))[-1]["sequence"]
        began = utc_now()
        # Deleted or not, it is there until that was seen.
        told = {"annotations": {"sim/state": state}, "finalizers": ["test.local/seen"]}
        await asyncio.to_thread(world.client.patch, world.pod_path(replica_id), {"metadata": told})

        async def event():
            found = await platform.events(deployment_id, after=last, type=fact)
            of_it = [one for one in found if one["data"]["replica_id"] == replica_id]
            return next((one for one in of_it if one["data"]["reason"] == reason), None)

        found = await eventually(event, every_s=0.1)
        no_more = {"annotations": {"sim/state": "Ready"}, "finalizers": None}
        await asyncio.to_thread(world.client.patch, world.pod_path(replica_id), {"metadata": no_more})
        return (moment(found["time"]) - began).total_seconds()

    await soon(one_ends, WITHIN_S)
    await platform.settled(deployment_id)
