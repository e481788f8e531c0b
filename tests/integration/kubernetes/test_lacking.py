"""What a machine type names and the cluster does not have."""

import pytest

from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.errors import DeploymentUnavailable
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
