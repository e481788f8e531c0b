"""A server, a namespace or rights that are not what is needed: what it is, and what is allowed."""

import pytest
from aiohttp import web

from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.errors import ClusterUnavailable
from libs.common.machine_types.reading import bundled
from tests.support.api_server import serving, status, write_kubeconfig


def is_version(minor):
    return web.json_response({"major": "1", "minor": minor})


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        pytest.param([is_version("33")], r"Kubernetes is 1\.33; allowed: 1\.34 and later", id="older"),
        pytest.param([is_version("9+")], r"Kubernetes is 1\.9; allowed: 1\.34 and later", id="much older"),
        pytest.param(
            [is_version("34+"), status(404, 'namespaces "nowhere" not found')],
            'SPECSTREAM_KUBE_NAMESPACE: namespaces "nowhere" not found; infra/kubernetes/replicas makes it',
            id="no namespace",
        ),
        pytest.param(
            [is_version("36"), status(403, "namespaces is forbidden")],
            "does not allow us to get namespaces: .*; infra/kubernetes/replicas has the rights",
            id="no rights",
        ),
        pytest.param(
            [web.json_response({"ok": True})], "is no Kubernetes: /version answers", id="no Kubernetes"
        ),
    ],
)
async def test_it_is_named_with_what_is_allowed(tmp_path, answers, said):
    async with serving() as server:
        server.then(*answers)
        config = write_kubeconfig(tmp_path / "config", server.url, {"token": "t"})
        async with KubernetesCluster.opened(
            config, namespace="nowhere", machine_types=bundled(), timing=Timing(grace_s=5, drain_s=30)
        ) as cluster:
            with pytest.raises(ClusterUnavailable, match=said):
                await cluster.observe()
