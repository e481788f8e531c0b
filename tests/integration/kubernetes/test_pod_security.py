"""Which level of the Pod Security Standards the pods of replicas keep to, by a server that enforces one."""

import asyncio

import pytest

from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.errors import CannotApply
from libs.common.machine_types.reading import bundled
from tests.support.clusters import all_run, run_of, workload
from tests.support.polling import eventually

ENFORCED = "pod-security.kubernetes.io/enforce"


async def test_with_baseline_an_image_may_run_as_root_where_the_namespace_allows_it(kubernetes_world):
    world = kubernetes_world
    async with KubernetesCluster.opened(
        world.kubeconfig,
        namespace=world.namespace,
        machine_types=bundled(),
        timing=Timing(grace_s=5, drain_s=30),
        security="baseline",
    ) as cluster:
        with pytest.raises(CannotApply, match=r'violates PodSecurity "restricted.*runAsNonRoot'):
            await cluster.apply(workload(run_of(1)), fence=1)
        namespace = f"/api/v1/namespaces/{world.namespace}"
        label = {"metadata": {"labels": {ENFORCED: "baseline"}}}
        await asyncio.to_thread(world.client.patch, namespace, label)

        async def is_taken():
            """Admission hears of the label a moment later."""
            try:
                await cluster.apply(workload(run_of(1)), fence=2)
            except CannotApply:
                return False
            return True

        await eventually(is_taken, every_s=0.2)
        (shown,) = await world.until(all_run(1))
    pod = await world.pod(shown.replica_id)
    assert "runAsNonRoot" not in pod["spec"]["securityContext"]
