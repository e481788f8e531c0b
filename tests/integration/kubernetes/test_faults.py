"""What goes wrong between us and a real API server: once in effect, nothing of old plans, nothing missed."""

import asyncio

import pytest

from libs.common.clock import utc_now
from libs.common.cluster.kubernetes import informer, names
from libs.common.cluster.kubernetes.anchor import TOMBSTONE_FOR
from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.cluster.port import ReplicaPhase
from libs.common.errors import CannotApply, ClusterUnavailable, DeploymentUnavailable, Fenced
from libs.common.machine_types.reading import bundled
from tests.support.clusters import (
    DEPLOYMENT,
    all_run,
    replicas,
    run_of,
    template,
    trouble,
    until_available,
    workload,
)
from tests.support.fault_proxy import answer, before, hold, lose_answer, lose_request
from tests.support.kubelab.states import STOP_DELAY
from tests.support.polling import eventually

TIMING = Timing(grace_s=5, drain_s=30)


@pytest.fixture
async def proxied(kubernetes_world, tmp_path):
    """(a cluster that is reached through a proxy, the proxy), in the namespace of `kubernetes_world`."""
    async with (
        before(kubernetes_world.kubeconfig, tmp_path) as proxy,
        KubernetesCluster.opened(
            proxy.kubeconfig, namespace=kubernetes_world.namespace, machine_types=bundled(), timing=TIMING
        ) as cluster,
    ):
        yield cluster, proxy
        proxy.mend()


async def pods_of(world):
    path = f"/api/v1/namespaces/{world.namespace}/pods"
    listed = await asyncio.to_thread(world.client.get, path)
    return {pod["metadata"]["name"]: pod for pod in listed["items"]}


async def settled(world, number):
    """Exactly so many replicas run, and there are no other pods."""
    shown = await world.until(all_run(number))

    async def nothing_else():
        return (await pods_of(world)).keys() == {names.pod_name(one.replica_id) for one in shown}

    await eventually(nothing_else, because="there are pods that are no replicas")
    return shown


async def test_a_deployment_of_two_takes_three_writes_and_one_more_replica_two(kubernetes_world, proxied):
    cluster, proxy = proxied
    await cluster.apply(workload(run_of(2)), fence=1)
    assert sorted(proxy.writes) == ["POST configmaps", "POST pods", "POST pods"]
    await settled(kubernetes_world, 2)
    proxy.writes.clear()
    await cluster.apply(workload(run_of(3)), fence=2)
    assert proxy.writes == ["PUT configmaps", "POST pods"]


async def test_a_start_adopts_without_a_write(kubernetes_world, proxied):
    first = await started(kubernetes_world, 3)
    cluster, proxy = proxied
    assert await replicas(cluster) == first
    await cluster.apply(workload(run_of(3)), fence=1)
    assert await replicas(cluster) == first
    assert proxy.writes == []


async def started(world, number, *, fence=1):
    await world.cluster.apply(workload(run_of(number)), fence=fence)
    return await settled(world, number)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(answer(409, "somebody else has changed it"), id="409"),
        pytest.param(answer(429, Retry_After="1"), id="429"),
        pytest.param(lose_answer, id="answer lost"),
        pytest.param(lose_request, id="request lost"),
    ],
)
async def test_what_goes_wrong_with_the_anchor_is_tried_again_and_in_effect_once(
    kubernetes_world, proxied, fault
):
    cluster, proxy = proxied
    proxy.on("POST", "configmaps", fault)
    await cluster.apply(workload(run_of(2)), fence=1)
    await settled(kubernetes_world, 2)
    proxy.on("PUT", "configmaps", fault)
    await cluster.apply(workload(run_of(4)), fence=2)
    await settled(kubernetes_world, 4)


async def test_a_storm_of_conflicts_passes(kubernetes_world, proxied):
    cluster, proxy = proxied
    await started(kubernetes_world, 1)
    proxy.on("PUT", "configmaps", answer(409, "again"), times=8)
    await cluster.apply(workload(run_of(2)), fence=2)
    await settled(kubernetes_world, 2)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lose_answer, id="answer lost"),
        pytest.param(answer(429, Retry_After="1"), id="429"),
        pytest.param(answer(409, "Operation cannot be fulfilled on resourcequotas"), id="409 of a quota"),
    ],
)
async def test_what_goes_wrong_with_a_pod_makes_no_other(kubernetes_world, proxied, fault):
    cluster, proxy = proxied
    proxy.on("POST", "pods", fault)
    await cluster.apply(workload(run_of(2)), fence=1)
    await settled(kubernetes_world, 2)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(lose_request, ClusterUnavailable, id="request lost"),
        pytest.param(answer(500, "etcd is away"), ClusterUnavailable, id="500"),
        pytest.param(answer(403, "exceeded quota: few"), DeploymentUnavailable, id="quota"),
        pytest.param(answer(403, 'violates PodSecurity "restricted"'), CannotApply, id="policy"),
        pytest.param(answer(403, 'User "u" cannot create resource "pods"'), ClusterUnavailable, id="rights"),
    ],
)
async def test_a_pod_that_was_not_made_is_another_one_next_time(kubernetes_world, proxied, fault, error):
    cluster, proxy = proxied
    proxy.on("POST", "pods", fault)
    with pytest.raises(error):
        await cluster.apply(workload(run_of(2)), fence=1)
    (made,) = await kubernetes_world.until(all_run(1))
    await cluster.apply(workload(run_of(2)), fence=1)
    shown = await settled(kubernetes_world, 2)
    assert made.replica_id in {one.replica_id for one in shown}


async def test_a_copy_that_was_paused_before_its_anchor_is_fenced(kubernetes_world, proxied):
    cluster, proxy = proxied
    first = await started(kubernetes_world, 1)
    reached, go_on = asyncio.Event(), asyncio.Event()
    proxy.on("PUT", "configmaps", hold(reached, go_on))
    late = asyncio.ensure_future(cluster.apply(workload(run_of(5)), fence=2))
    await reached.wait()
    await kubernetes_world.cluster.apply(workload(run_of(1)), fence=3)
    go_on.set()
    with pytest.raises(Fenced):
        await late
    assert await settled(kubernetes_world, 1) == first


async def test_what_a_copy_makes_late_is_no_replica_and_goes(kubernetes_world, proxied):
    cluster, proxy = proxied
    reached, go_on = asyncio.Event(), asyncio.Event()
    proxy.on("POST", "pods", hold(reached, go_on))
    late = asyncio.ensure_future(cluster.apply(workload(run_of(1)), fence=1))
    await reached.wait()
    (newer,) = await started(kubernetes_world, 1, fence=2)
    go_on.set()
    await late
    assert proxy.writes[:2] == ["POST configmaps", "POST pods"]
    shown = await settled(kubernetes_world, 1)
    assert [one.replica_id for one in shown] == [newer.replica_id]


async def test_a_pod_that_was_to_be_deleted_when_its_copy_died_is_deleted(kubernetes_world, proxied):
    cluster, proxy = proxied
    leaving = [one.replica_id for one in await started(kubernetes_world, 2)][:1]
    proxy.on("DELETE", "pods", lose_request, times=5)
    with pytest.raises(ClusterUnavailable):
        await cluster.apply(workload(run_of(1), retiring=leaving, stopping=leaving), fence=2)
    shown = await settled(kubernetes_world, 1)
    assert [one.replica_id for one in shown] != leaving


async def test_a_token_that_is_refused_is_renewed(kubernetes_world, proxied):
    cluster, proxy = proxied
    proxy.on("*", "*", answer(401, "Unauthorized"))
    await cluster.apply(workload(run_of(1)), fence=1)
    proxy.on("POST", "pods", answer(401, "Unauthorized"))
    await cluster.apply(workload(run_of(2)), fence=2)
    await settled(kubernetes_world, 2)


@pytest.mark.parametrize("how", ["cut", "410", "410 later"])
async def test_nothing_is_missed_when_a_watch_ends(kubernetes_world, proxied, how):
    cluster, proxy = proxied
    first = await started(kubernetes_world, 2)
    assert await replicas(cluster) == first
    if how != "cut":
        proxy.on("WATCH", "*", answer(410, "too old resource version"), times=2)
    proxy.on("WATCH", "*", answer(500, "away"), times=2)
    proxy.cut_watches()
    leaving = [one.replica_id for one in first][:1]
    await kubernetes_world.cluster.apply(workload(run_of(2), retiring=leaving, stopping=leaving), fence=2)
    after = await settled(kubernetes_world, 2)

    async def is_the_same():
        return await replicas(cluster) == after

    await eventually(is_the_same)
    assert "GET pods" in proxy.reads


async def last(heard):
    async for changed in heard:
        assert changed


async def test_a_watch_that_cannot_be_had_makes_the_cluster_unavailable_until_it_can(
    kubernetes_world, proxied, monkeypatch
):
    monkeypatch.setattr(informer, "BROKEN_FOR_S", 0.5)
    cluster, proxy = proxied
    first = await started(kubernetes_world, 1)
    assert await replicas(cluster) == first
    heard = cluster.watch()
    assert (await anext(heard)).everything
    proxy.on("WATCH", "pods", answer(503, "away"), times=10_000)
    proxy.cut_watches()

    async def is_told():
        # On a busy machine the cut itself is told first, until the watch is asked for again.
        return "watch pods: away" in await trouble(cluster)

    await eventually(is_told)
    with pytest.raises(ClusterUnavailable, match="watch pods: away"):
        await last(heard)
    proxy.mend()
    await until_available(cluster)
    assert await replicas(cluster) == first


async def test_an_anchor_that_was_deleted_by_hand_is_made_anew_with_its_replicas(kubernetes_world):
    first = await started(kubernetes_world, 2)
    path = f"/api/v1/namespaces/{kubernetes_world.namespace}/configmaps/{names.anchor_name(DEPLOYMENT)}"
    await asyncio.to_thread(kubernetes_world.client.delete, path)
    await kubernetes_world.until_gone()
    after = await started(kubernetes_world, 2)
    assert not {one.replica_id for one in after} & {one.replica_id for one in first}


async def test_a_pod_that_was_deleted_by_hand_is_replaced_before_it_has_ended(kubernetes_world):
    (first,) = await started(kubernetes_world, 1)
    path = kubernetes_world.pod_path(first.replica_id)
    slowly, no_longer = ({"metadata": {"annotations": {STOP_DELAY: delay}}} for delay in ("3600s", None))
    await asyncio.to_thread(kubernetes_world.client.patch, path, slowly)
    await asyncio.to_thread(kubernetes_world.client.delete, path)
    (ending,) = await kubernetes_world.until(lambda shown: shown[0].phase is ReplicaPhase.STOPPING)
    assert (ending.reason, ending.message) == ("deleted", "its pod was deleted by somebody else")
    await kubernetes_world.cluster.apply(workload(run_of(1)), fence=2)
    shown = await replicas(kubernetes_world.cluster)
    assert len(shown) == 2
    await asyncio.to_thread(kubernetes_world.client.patch, path, no_longer)
    (after,) = await settled(kubernetes_world, 1)
    assert after.replica_id != first.replica_id


@pytest.mark.parametrize(("state", "reason"), [("Evicted", "evicted"), ("OutOfcpu", "rejected")])
async def test_a_pod_that_its_node_refuses_says_so_and_goes(kubernetes_world, state, reason):
    (first,) = await started(kubernetes_world, 1)
    path = kubernetes_world.pod_path(first.replica_id)
    # Deleted or not, it is there until that was seen.
    told = {"annotations": {"sim/state": state, "sim/message": "no room"}, "finalizers": ["test.local/seen"]}
    await asyncio.to_thread(kubernetes_world.client.patch, path, {"metadata": told})
    (ended,) = await kubernetes_world.until(lambda shown: shown[0].phase is ReplicaPhase.STOPPING)
    assert (ended.reason, "no room" in ended.message) == (reason, True)
    await asyncio.to_thread(kubernetes_world.client.patch, path, {"metadata": {"finalizers": None}})
    await settled(kubernetes_world, 0)


async def test_a_kubelet_that_refuses_every_pod_is_not_asked_all_the_time(kubernetes_world, proxied):
    """By a clock that stands still: the first pause of ten seconds is over soon."""
    _, proxy = proxied
    now = utc_now()
    refused = run_of(2, of=template(SIM_STATE="OutOfcpu"))
    async with KubernetesCluster.opened(
        proxy.kubeconfig,
        namespace=kubernetes_world.namespace,
        machine_types=bundled(),
        timing=TIMING,
        clock=lambda: now,
    ) as cluster:
        for _ in range(2):  # each is refused, and goes
            await cluster.apply(workload(refused), fence=1)
            await eventually(lambda: refusals(cluster, 2))
        made = proxy.writes.count("POST pods")
        await kubernetes_world.until(lambda shown: not shown)
        await cluster.apply(workload(refused), fence=1)
        assert (made, proxy.writes.count("POST pods")) == (2, 2)
        assert await pods_of(kubernetes_world) == {}


async def refusals(cluster, number):
    shown = await replicas(cluster)
    return [one.reason for one in shown] in (["rejected"] * number, [])


async def test_a_tombstone_goes_after_an_hour(kubernetes_world):
    await started(kubernetes_world, 1)
    await kubernetes_world.cluster.remove(DEPLOYMENT, fence=2)
    await kubernetes_world.until_gone()
    path = f"/api/v1/namespaces/{kubernetes_world.namespace}/configmaps"

    async def anchors():
        listed = await asyncio.to_thread(
            kubernetes_world.client.get, path, labelSelector=names.selector(names.ANCHORS)
        )
        return [one["metadata"]["name"] for one in listed["items"]]

    assert await anchors() == [names.anchor_name(DEPLOYMENT)]
    async with KubernetesCluster.opened(
        kubernetes_world.kubeconfig,
        namespace=kubernetes_world.namespace,
        machine_types=bundled(),
        timing=TIMING,
        clock=lambda: utc_now() + TOMBSTONE_FOR,
    ) as later:
        assert await later.observe() == {}

        async def is_gone():
            return not await anchors()

        await eventually(is_gone)


async def test_a_namespace_that_is_missing_is_named(kubernetes_world):
    async with KubernetesCluster.opened(
        kubernetes_world.kubeconfig, namespace="nowhere", machine_types=bundled(), timing=TIMING
    ) as cluster:
        with pytest.raises(ClusterUnavailable, match='namespaces "nowhere" not found; infra/kubernetes'):
            await cluster.observe()
