"""What a machine type names and the cluster does not have."""

import asyncio

import pytest

from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.errors import CannotApply, DeploymentUnavailable
from libs.common.machine_types.reading import bundled
from tests.support.clusters import run_of, workload

TIMING = Timing(grace_s=5, drain_s=30)


def where_c4_asks_for(more, world):
    """The cluster of a world, opened with that machine type changed."""
    types = bundled()
    return KubernetesCluster.opened(
        world.kubeconfig,
        namespace=world.namespace,
        machine_types={**types, "C4": types["C4"].model_copy(update=more)},
        timing=TIMING,
    )


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
    async with where_c4_asks_for(lacking, kubernetes_world) as cluster:
        with pytest.raises(DeploymentUnavailable, match=f"cannot_start: create pods .*{said}"):
            await cluster.apply(workload(run_of(1)), fence=1)


async def test_a_class_that_is_for_other_nodes_can_never_be_applied(kubernetes_world):
    path, name = "/apis/node.k8s.io/v1/runtimeclasses", kubernetes_world.namespace
    runtime = {
        "metadata": {"name": name},
        "handler": "runc",
        "scheduling": {"nodeSelector": {"example.com/kind": "one"}},
    }
    asks = {"runtime_class": name, "node_selector": {"example.com/kind": "another"}}
    await asyncio.to_thread(kubernetes_world.client.create, path, runtime)
    try:
        async with where_c4_asks_for(asks, kubernetes_world) as cluster:
            with pytest.raises(CannotApply, match=r"a policy of the cluster refuses it: .*example\.com/kind"):
                await cluster.apply(workload(run_of(1)), fence=1)
    finally:
        await asyncio.to_thread(kubernetes_world.client.delete, f"{path}/{name}")
