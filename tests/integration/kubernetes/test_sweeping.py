"""Pods that are no replicas go, whoever was kept from ending them; on a real API server."""

import pytest

from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.errors import ClusterUnavailable
from libs.common.machine_types.reading import bundled
from tests.support.clusters import replicas, run_of, workload
from tests.support.fault_proxy import answer, before
from tests.support.polling import eventually

REPLICAS = 12
TIMING = Timing(grace_s=5, drain_s=30)


async def test_an_anchor_is_asked_for_once_for_all_pods_that_have_to_go(kubernetes_world, tmp_path):
    namespace = kubernetes_world.namespace
    async with (
        before(kubernetes_world.kubeconfig, tmp_path) as proxy,
        KubernetesCluster.opened(
            proxy.kubeconfig, namespace=namespace, machine_types=bundled(), timing=TIMING
        ) as cluster,
    ):
        await cluster.apply(workload(run_of(REPLICAS)), fence=1)

        async def are_there():
            return len(await replicas(cluster)) == REPLICAS

        await eventually(are_there)
        ids = [one.replica_id for one in await replicas(cluster)]
        proxy.on("DELETE", "pods", answer(500, "nobody is deleted now"), times=REPLICAS)
        proxy.reads.clear()
        with pytest.raises(ClusterUnavailable):
            await cluster.apply(workload(retiring=ids, stopping=ids), fence=2)

        async def are_gone():
            return not await replicas(cluster)

        await eventually(are_gone)
        assert proxy.writes.count("DELETE pods") >= 2 * REPLICAS
        assert proxy.reads.count("GET configmaps") == 1
