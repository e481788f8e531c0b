"""What a machine type names and the cluster does not have."""

import asyncio

import pytest

from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.errors import CannotApply, DeploymentUnavailable
from libs.common.machine_types.reading import bundled
from tests.support.clusters import run_of, workload

TIMING = Timing(grace_s=5, drain_s=30)


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ({"priority_class": "nowhere"}, "no PriorityClass with name nowhere"),
        ({"runtime_class": "nowhere"}, 'RuntimeClass "nowhere" not found'),
    ],
)
async def test_a_class_that_is_missing_is_the_problem_of_its_deployment_alone(
    kubernetes_world, lacking, said
):
    types = bundled()
    types = {**types, "C4": types["C4"].model_copy(update=lacking)}
    async with KubernetesCluster.opened(
        kubernetes_world.kubeconfig,
        namespace=kubernetes_world.namespace,
        machine_types=types,
        timing=TIMING,
    ) as cluster:
        with pytest.raises(DeploymentUnavailable, match=f"cannot_start: create pods .*{said}"):
            await cluster.apply(workload(run_of(1)), fence=1)


async def test_a_class_that_is_for_other_nodes_can_never_be_applied(kubernetes_world):
    path, name = "/apis/node.k8s.io/v1/runtimeclasses", kubernetes_world.namespace
    runtime = {
        "metadata": {"name": name},
        "handler": "runc",
        "scheduling": {"nodeSelector": {"example.com/kind": "one"}},
    }
    types = bundled()
    asks = {"runtime_class": name, "node_selector": {"example.com/kind": "another"}}
    types = {**types, "C4": types["C4"].model_copy(update=asks)}
    await asyncio.to_thread(kubernetes_world.client.create, path, runtime)
    try:
        async with KubernetesCluster.opened(
            kubernetes_world.kubeconfig,
            namespace=kubernetes_world.namespace,
            machine_types=types,
            timing=TIMING,
        ) as cluster:
            with pytest.raises(CannotApply, match=r"a policy of the cluster refuses it: .*example\.com/kind"):
                await cluster.apply(workload(run_of(1)), fence=1)
    finally:
        await asyncio.to_thread(kubernetes_world.client.delete, f"{path}/{name}")
