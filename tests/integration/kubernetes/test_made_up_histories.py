"""Whatever an import brings, a Kubernetes takes what is made of it, or is never asked for it."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from datetime import timedelta

import pytest
from hypothesis import given

from libs.common.log.port import Stored
from libs.common.machine_types.reading import bundled
from services.reconciler.converge import Reconciler
from tests.support.kubelab.fixtures import KubernetesCluster, fresh_namespace
from tests.support.kubernetes_world import prepare
from tests.support.made_up_histories import histories, log_of, views_of
from tests.support.played_kubernetes import PlayedKubernetes
from tests.support.strategies import EPOCH

NOW = EPOCH + timedelta(minutes=90)


@pytest.fixture(scope="module")
def namespace(simulated_cluster: KubernetesCluster) -> Iterator[str]:
    with fresh_namespace(simulated_cluster.client) as name:
        prepare(simulated_cluster.client, name)
        yield name


@given(history=histories)
def test_what_is_asked_for_is_taken(
    simulated_cluster: KubernetesCluster, namespace: str, history: list[Stored]
) -> None:
    objects = asyncio.run(_asked_for(history, namespace))
    # The replicas of one run differ by their names alone.
    for resource, manifest in {_but_for_its_name(one): (what, one) for what, one in objects}.values():
        path = f"/api/v1/namespaces/{namespace}/{resource}"
        answer = simulated_cluster.client.ask("POST", path, manifest, dryRun="All")
        assert answer.status_code == 201, answer.text


def _but_for_its_name(manifest: dict[str, object]) -> str:
    return json.dumps({key: value for key, value in manifest.items() if key != "metadata"})


async def _asked_for(history: Iterable[Stored], namespace: str) -> list[tuple[str, dict[str, object]]]:
    log, cluster = await log_of(history), PlayedKubernetes(lambda: NOW, namespace=namespace)
    reconciler = Reconciler(log, cluster, clock=lambda: NOW, machine_types=bundled())
    for deployment_id in (await views_of(log, "reconciler")).by_id:
        await reconciler.resync(deployment_id)
    return cluster.made
