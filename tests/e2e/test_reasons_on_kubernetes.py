"""Why a deployment waits or is refused is told within 5 s of Kubernetes knowing it.

It holds promise 8. Each goes on by itself when the cause is mended.

The time is taken from what the API server has written to what the log says. On a busy machine anything may
take seconds, so the best of a few deployments counts.
"""

import asyncio
import uuid
from contextlib import asynccontextmanager
from datetime import datetime

import pytest

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.kubernetes import names
from tests.integration.kubernetes.test_refused_writes import POLICIES, QUOTA, made
from tests.integration.kubernetes.test_rights import PATHS, kubeconfig_of
from tests.support.kubelab.client import Client
from tests.support.kubelab.nodes import simulated_node
from tests.support.on_kubernetes import on_kubernetes, pods, spec_of
from tests.support.polling import eventually

__all__ = ["kubeconfig_of"]

WITHIN_S = 5.0
TRIES = 5

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
        "SPECSTREAM_RESYNC_SECONDS": "2",
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
    took, found = [], {}
    while not took or (took[-1] > WITHIN_S and len(took) < TRIES):
        deployment_id = await platform.submit(spec(f"reason-{len(took)}"))

        async def reason(deployment_id=deployment_id):
            return next((one for one in await platform.events(deployment_id) if is_reason(one)), None)

        event = await eventually(reason, every_s=0.1)
        took.append((moment(event["time"]) - await known_at(deployment_id, event)).total_seconds())
        found[deployment_id] = event
    assert min(took) <= WITHIN_S, took
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


def of_anchor(world):
    """What is refused leaves nothing. It was asked for after its anchor was made."""

    async def known_at(deployment_id, _):
        path = f"/api/v1/namespaces/{world.namespace}/configmaps/{names.anchor_name(deployment_id)}"
        anchor = await asyncio.to_thread(world.client.get, path)
        return moment(anchor["metadata"]["creationTimestamp"])

    return known_at


async def all_settle(platform, deployment_ids):
    await asyncio.gather(*map(platform.settled, deployment_ids))


async def test_that_there_is_no_gpu(platform, kubernetes_world, node):
    def spec(name):
        wanted = spec_of(name, replicas=1)
        wanted["resources"]["machineType"] = "rare"
        return wanted

    found = await told_soon(
        platform,
        spec,
        waits_for("unschedulable", "Insufficient nvidia.com/gpu"),
        of_condition(kubernetes_world),
    )
    has = {"nvidia.com/gpu": str(TRIES)}
    await asyncio.to_thread(
        kubernetes_world.client.patch,
        f"/api/v1/nodes/{node}/status",
        {"status": {"capacity": has, "allocatable": has}},
    )
    await all_settle(platform, found)


async def test_that_an_image_cannot_be_had(platform, kubernetes_world):
    world = kubernetes_world

    def spec(name):
        return spec_of(name, replicas=1, SIM_STATE="ErrImagePull")

    found = await told_soon(platform, spec, waits_for("image_pull", "ErrImagePull"), of_status(world))
    there = {"metadata": {"annotations": {"sim/state": "Ready"}}}
    for replica_id in await pods(world):
        await asyncio.to_thread(world.client.patch, world.pod_path(replica_id), there)
    await all_settle(platform, found)


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
    took = []
    while not took or (took[-1] > WITHIN_S and len(took) < TRIES):
        await platform.at_rest(deployment_id)
        (replica_id,) = await pods(world)
        last = (await platform.events(deployment_id))[-1]["sequence"]
        began = utc_now()
        # Deleted or not, it is there until that was seen.
        told = {"annotations": {"sim/state": state}, "finalizers": ["test.local/seen"]}
        await asyncio.to_thread(world.client.patch, world.pod_path(replica_id), {"metadata": told})

        async def event(replica_id=replica_id, last=last):
            found = await platform.events(deployment_id, after=last, type=fact)
            of_it = [one for one in found if one["data"]["replica_id"] == replica_id]
            return next((one for one in of_it if one["data"]["reason"] == reason), None)

        found = await eventually(event, every_s=0.1)
        took.append((moment(found["time"]) - began).total_seconds())
        no_more = {"annotations": {"sim/state": "Ready"}, "finalizers": None}
        await asyncio.to_thread(world.client.patch, world.pod_path(replica_id), {"metadata": no_more})
    assert min(took) <= WITHIN_S, took
    await platform.settled(deployment_id)


async def test_that_a_quota_is_used_up(platform, kubernetes_world):
    world = kubernetes_world
    none = {**QUOTA, "spec": {"hard": {"pods": "0"}}}

    def is_reason(event):
        is_waiting = event["type"] == "RolloutProgressed" and event["data"]["phase"] == "waiting_for_ready"
        return is_waiting and "exceeded quota: few" in (event["data"]["message"] or "")

    async with made(world, f"/api/v1/namespaces/{world.namespace}/resourcequotas", none):
        await until_refused(world, "exceeded quota")
        found = await told_soon(platform, lambda name: spec_of(name, replicas=2), is_reason, of_anchor(world))
    await all_settle(platform, found)


async def until_forbidden(world, kubeconfig):
    """The server refuses by now what this identity asks for."""
    client = await asyncio.to_thread(Client.of_kubeconfig, kubeconfig)
    path = f"/api/v1/namespaces/{world.namespace}/configmaps"

    async def is_forbidden():
        answer = await asyncio.to_thread(client.ask, "POST", path, {"metadata": {}}, dryRun="All")
        return answer.status_code == 403

    try:
        await eventually(is_forbidden, every_s=0.1)
    finally:
        client.close()


async def until_refused(world, words):
    """Whoever is asked for a pod refuses it so by now."""
    pod = {
        "metadata": {"name": "tried"},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "main",
                    "image": "other:1",
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }
    path = f"/api/v1/namespaces/{world.namespace}/pods"

    async def is_refused():
        answer = await asyncio.to_thread(world.client.ask, "POST", path, pod, dryRun="All")
        return answer.is_error and words in answer.text

    await eventually(is_refused, every_s=0.1)


@asynccontextmanager
async def a_policy(world, kind, **spec):
    """For the pods of the namespace. kind: `validating` or `mutating`."""
    metadata = {"name": f"{kind}-{world.namespace}"}
    here = {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    policy = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, **spec}
    binding = {"policyName": metadata["name"], "matchResources": {"namespaceSelector": here}}
    if kind == "validating":
        binding["validationActions"] = ["Deny"]
    path = f"{POLICIES}/{kind}admissionpolicies"
    async with (
        made(world, path, {"metadata": metadata, "spec": policy}),
        made(world, f"{path.removesuffix('ies')}ybindings", {"metadata": metadata, "spec": binding}),
    ):
        yield


def is_failure(words):
    return lambda event: event["type"] == "SpecFailed" and words in event["data"]["message"]


async def test_that_a_policy_does_not_allow_it(platform, kubernetes_world):
    world = kubernetes_world
    rules = [{"expression": "false", "message": "no pods on Sundays"}]
    async with a_policy(world, "validating", validations=rules):
        await until_refused(world, "no pods on Sundays")
        found = await told_soon(platform, spec_of, is_failure("no pods on Sundays"), of_anchor(world))
    await all_settle(platform, found)


async def test_that_pod_security_does_not_allow_it(platform, kubernetes_world):
    """Somebody's policy makes of each pod what the namespace does not take."""
    world = kubernetes_world
    change = {
        "patchType": "ApplyConfiguration",
        "applyConfiguration": {"expression": "Object{spec: Object.spec{hostPID: true}}"},
    }
    words = 'violates PodSecurity "restricted:latest": host namespaces (hostPID=true)'
    async with a_policy(world, "mutating", mutations=[change], reinvocationPolicy="Never"):
        await until_refused(world, "hostPID=true")
        found = await told_soon(platform, spec_of, is_failure(words), of_anchor(world))
    await all_settle(platform, found)


async def test_that_rights_were_taken_away(own_platform, kubernetes_world, node, kubeconfig_of):
    """That concerns no deployment alone, so `/v1/health` tells it."""
    world = kubernetes_world
    kubeconfig = await asyncio.to_thread(kubeconfig_of, "specstream-writer")
    platform = await started(own_platform, world, node, kubeconfig)
    kept = await platform.deploy(spec_of("kept", replicas=1))
    await platform.at_rest(kept)
    before = await pods(world)
    path = f"{PATHS['RoleBinding'].format(namespace=world.namespace)}/specstream-writer"
    binding = await asyncio.to_thread(world.client.get, path)
    del binding["metadata"]["resourceVersion"], binding["metadata"]["uid"]

    async def is_named():
        answer = await platform.http.get("/health")
        problems = {} if answer.status_code == 200 else answer.json()["details"]["problems"]
        return "does not allow us to" in problems.get("reconciler", "")

    took = []
    while not took or (took[-1] > WITHIN_S and len(took) < TRIES):
        await asyncio.to_thread(world.client.delete, path)
        # The server needs a moment itself until it refuses.
        await until_forbidden(world, kubeconfig)
        deployment_id = await platform.submit(spec_of(f"without-rights-{len(took)}"))
        began = monotonic()
        await eventually(is_named, every_s=0.1)
        took.append(monotonic() - began)
        assert await pods(world) == before
        await asyncio.to_thread(world.client.create, path.rpartition("/")[0], binding)
        await platform.settled(deployment_id)
        await platform.healthy()
        before = await pods(world)
    assert min(took) <= WITHIN_S, took
