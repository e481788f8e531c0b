"""What somebody changes by hand: an anchor is put back, a replica that is another one now is replaced."""

import asyncio
import json

import pytest

from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.cluster.port import ReplicaPhase
from libs.common.errors import DeploymentUnavailable
from libs.common.events.rollout import MoveReason
from libs.common.machine_types.reading import bundled
from tests.support.clusters import DEPLOYMENT, all_run, replicas, run_of, workload
from tests.support.polling import eventually


async def patch(world, path, change):
    strategic = "application/strategic-merge-patch+json"
    return await asyncio.to_thread(world.client.patch, path, change, content_type=strategic)


def anchor_path(world):
    return f"/api/v1/namespaces/{world.namespace}/configmaps/{names.anchor_name(DEPLOYMENT)}"


async def anchor(world):
    return await asyncio.to_thread(world.client.get, anchor_path(world))


async def started(world, number):
    await world.cluster.apply(workload(run_of(number)), fence=1)
    return await world.until(all_run(number))


async def is_altered(world):
    return (await world.cluster.observe(DEPLOYMENT))[DEPLOYMENT].is_altered


def emptied(data):
    plan = json.loads(data["plan.json"])
    return {"data": {"plan.json": json.dumps({**plan, "replicas": []})}}


def spoilt(_data):
    return {"data": {"plan.json": "by hand"}}


def elsewhere(_data):
    return {"metadata": {"labels": {names.DEPLOYMENT: "elsewhere"}}}


@pytest.mark.parametrize("change", [emptied, spoilt, elsewhere])
async def test_an_anchor_is_put_back_and_its_replicas_stay(kubernetes_world, change):
    world = kubernetes_world
    before = await started(world, 2)
    written = await anchor(world)
    await patch(world, anchor_path(world), change(written["data"]))
    await eventually(lambda: is_altered(world))
    assert await replicas(world.cluster) == before
    await world.cluster.apply(workload(run_of(2)), fence=1)
    after = await anchor(world)
    assert (after["data"], after["metadata"]["labels"]) == (written["data"], written["metadata"]["labels"])
    assert not await is_altered(world)
    assert await world.until(all_run(2)) == before


async def must_move(world, replica_id):
    shown = {one.replica_id: one for one in await replicas(world.cluster)}
    return shown[replica_id].must_move is MoveReason.POD_CHANGED


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"containers": [{"name": names.CONTAINER, "image": "other:2"}]}},
        {"metadata": {"labels": {names.RUN: "other"}}},
        {"metadata": {"labels": {names.DEPLOYMENT: "other"}}},
    ],
    ids=["image", "run", "deployment"],
)
async def test_a_pod_that_is_another_one_now_has_to_be_replaced(kubernetes_world, change):
    world = kubernetes_world
    changed, other = await started(world, 2)
    await patch(world, world.pod_path(changed.replica_id), change)
    await eventually(lambda: must_move(world, changed.replica_id))
    assert not await must_move(world, other.replica_id)


async def test_what_does_not_make_it_another_one_may_be_changed(kubernetes_world):
    world = kubernetes_world
    (one,) = await started(world, 1)
    path = world.pod_path(one.replica_id)
    await patch(world, path, {"spec": {"activeDeadlineSeconds": 86_400}})
    await patch(world, path, {"metadata": {"labels": {"theirs": "x"}}})
    changed = await world.pod(one.replica_id)
    assert changed["metadata"]["generation"] > 1

    async def is_seen():
        known = world.cluster._knowledge.pod(one.replica_id)
        return known is not None and known.version >= int(changed["metadata"]["resourceVersion"])

    await eventually(is_seen)
    assert not await must_move(world, one.replica_id)


async def test_a_pod_that_lost_the_label_we_watch_it_by_is_ended_and_replaced(kubernetes_world):
    world = kubernetes_world
    (lost,) = await started(world, 1)
    await patch(world, world.pod_path(lost.replica_id), {"metadata": {"labels": {names.MANAGED_BY: "me"}}})
    await world.until(lambda shown: not shown)
    await world.cluster.apply(workload(run_of(1)), fence=1)
    (other,) = await world.until(all_run(1))
    assert other.replica_id != lost.replica_id
    assert other.phase is ReplicaPhase.RUNNING
    left = await asyncio.to_thread(world.client.ask, "GET", world.pod_path(lost.replica_id))
    assert left.status_code == 404 or "deletionTimestamp" in left.json()["metadata"]


async def test_an_anchor_that_was_spoilt_unseen_is_the_problem_of_its_deployment_alone(kubernetes_world):
    world = kubernetes_world
    await started(world, 1)
    await world.cluster.apply(workload(run_of(1), deployment_id="e" * 32), fence=1)
    await patch(world, anchor_path(world), {"data": {"plan.json": "{"}})

    # It remembers no anchor from before.
    async with KubernetesCluster.opened(
        world.kubeconfig,
        namespace=world.namespace,
        machine_types=bundled(),
        timing=Timing(grace_s=5, drain_s=30),
    ) as cluster:
        assert names.anchor_name(DEPLOYMENT) in (await cluster.observe())[DEPLOYMENT].problem
        with pytest.raises(DeploymentUnavailable, match="cannot be read"):
            await cluster.apply(workload(run_of(1)), fence=2)
        assert (await cluster.observe("e" * 32))["e" * 32].problem is None
        assert len(await replicas(cluster, "e" * 32)) == 1
