"""A node that is to be emptied: evictions wait until each replica has moved, and go through then.

What does not ask, such as a taint or a more important pod, is seen as soon as it ends a replica.

The cluster is this file's own: a node that is cordoned is cordoned for everybody.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest

from libs.common.cluster.kubernetes import names
from libs.common.cluster.port import ReplicaPhase
from tests.integration.kubernetes.test_rights import evict, is_counted
from tests.support.clusters import (
    DEPLOYMENT,
    all_run,
    on_simulated_nodes,
    replicas,
    run_of,
    template,
    workload,
)
from tests.support.kubelab.control_plane import ControlPlane
from tests.support.kubelab.fixtures import fresh_namespace
from tests.support.kubelab.simulated import cordon, steer, uncordon
from tests.support.kubernetes_world import GROUP
from tests.support.polling import eventually


@pytest.fixture(scope="module")
def plane(kubernetes_program, tmp_path_factory):
    made = ControlPlane(tmp_path_factory.mktemp("kubelab"), kubernetes_program)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
async def world(plane):
    with fresh_namespace(plane.client) as namespace:
        async with on_simulated_nodes(plane, namespace) as made:
            yield made


def are_ready(number):
    return lambda shown: all_run(number)(shown) and all(one.ready for one in shown)


async def started(world, number, **kwargs):
    await world.cluster.apply(workload(run_of(number, **kwargs)), fence=1)
    return await world.until(are_ready(number))


@asynccontextmanager
async def cordoned(world, replica_id, *, taint=""):
    """The node of this replica, for as long as the block runs."""
    node = (await world.pod(replica_id))["spec"]["nodeName"]
    await asyncio.to_thread(cordon, world.client, node, taint=taint)
    try:
        yield node
    finally:
        await asyncio.to_thread(uncordon, world.client, node)


async def test_evictions_of_a_ready_replica_wait_until_it_has_moved(world):
    (first,) = await started(world, 1)
    await eventually(lambda: is_counted(world), because="the budget was never counted")
    assert await evict(world, first.replica_id) == 429
    async with cordoned(world, first.replica_id) as node:
        (shown,) = await world.until(lambda shown: shown[0].must_move)
        assert (shown.must_move, shown.ready) == ("node_cordoned", True)
        # What the reconciler does about it: one more, which is placed elsewhere.
        await world.cluster.apply(workload(run_of(2)), fence=2)
        both = await world.until(are_ready(2))
        assert [one.must_move for one in both] == ["node_cordoned", None]
        assert (await world.pod(both[1].replica_id))["spec"]["nodeName"] != node
        assert await evict(world, first.replica_id) == 429
        leaving = [first.replica_id]
        await world.cluster.apply(workload(run_of(1), retiring=leaving, stopping=leaving), fence=3)
        (left,) = await world.until(all_run(1))
        assert left.replica_id == both[1].replica_id
        assert await evict(world, first.replica_id) == 404


async def test_a_replica_that_is_not_ready_is_evicted_at_once(world):
    await world.cluster.apply(workload(run_of(1, of=template(SIM_STATE="NotReady"))), fence=1)
    (first,) = await world.until(lambda shown: all_run(1)(shown) and shown[0].ready is False)
    await eventually(lambda: is_counted(world), because="the budget was never counted")

    async def is_evicted():
        return await evict(world, first.replica_id) in (200, 201)

    await eventually(is_evicted)


@pytest.mark.parametrize(
    ("taint", "reason"),
    [("ToBeDeletedByClusterAutoscaler", "node_ends"), ("karpenter.sh/disrupted", "node_ends")],
)
async def test_an_announced_end_is_told_from_a_mere_cordon(world, taint, reason):
    (first,) = await started(world, 1)
    async with cordoned(world, first.replica_id, taint=taint):
        await world.until(lambda shown: shown[0].must_move == reason)
    await world.until(lambda shown: shown[0].must_move is None)


async def slowly(world, number, **kwargs):
    """Started, and each ends only when it is told to once more."""
    shown = await started(world, number, **kwargs)
    for one in shown:
        await asyncio.to_thread(steer, *_pod(world, one), stop_delay_s=3600)
    return shown


def _pod(world, replica):
    return world.client, world.namespace, names.pod_name(replica.replica_id)


async def is_replaced_before_it_has_ended(world, first):
    await world.cluster.apply(workload(run_of(1)), fence=2)
    both = await world.until(lambda shown: len(shown) == 2)
    assert first.replica_id in {one.replica_id for one in both}
    await asyncio.to_thread(steer, *_pod(world, first))
    (after,) = await world.until(are_ready(1))
    assert after.replica_id != first.replica_id


async def test_what_a_taint_evicts_says_so_and_is_replaced_at_once(world):
    (first,) = await slowly(world, 1)
    node = (await world.pod(first.replica_id))["spec"]["nodeName"]
    taints = {"spec": {"taints": [{"key": "example.com/out", "effect": "NoExecute"}]}}
    await asyncio.to_thread(world.client.patch, f"/api/v1/nodes/{node}", taints)
    try:
        (ending,) = await world.until(lambda shown: shown[0].phase is ReplicaPhase.STOPPING)
        assert ending.reason == "evicted"
        await is_replaced_before_it_has_ended(world, first)
    finally:
        await asyncio.to_thread(uncordon, world.client, node)


async def test_what_a_more_important_pod_preempts_says_so_and_is_replaced_at_once(world):
    (first,) = await slowly(world, 1)
    node = (await world.pod(first.replica_id))["spec"]["nodeName"]
    capacity = (await asyncio.to_thread(world.client.get, f"/api/v1/nodes/{node}"))["status"]["capacity"]
    important = {"metadata": {"name": "important"}, "value": 1_000_000}
    made = await asyncio.to_thread(world.client.ask, "POST", GROUP, important)
    assert made.status_code in (201, 409), made.text
    pod = {
        "metadata": {"name": "more-important"},
        "spec": {
            "priorityClassName": "important",
            "nodeSelector": {"kubernetes.io/hostname": node},
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "main",
                    "image": "other:1",
                    "resources": {"limits": {"cpu": capacity["cpu"], "memory": "1Gi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }
    pods = f"/api/v1/namespaces/{world.namespace}/pods"

    async def is_taken():  # admission hears of the class a moment later
        return (await asyncio.to_thread(world.client.ask, "POST", pods, pod)).status_code == 201

    await eventually(is_taken)
    (ending,) = await world.until(lambda shown: shown[0].phase is ReplicaPhase.STOPPING)
    assert ending.reason == "preempted"
    await is_replaced_before_it_has_ended(world, first)


async def test_whoever_watches_hears_of_it(world):
    (first,) = await started(world, 1)
    heard = world.cluster.watch()
    assert (await anext(heard)).everything
    async with cordoned(world, first.replica_id):
        while DEPLOYMENT not in (changed := await anext(heard)).deployment_ids:
            assert not changed.everything
        assert (await replicas(world.cluster))[0].must_move
