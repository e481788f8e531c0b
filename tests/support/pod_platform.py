"""The whole platform over real nodes: its replicas are pods, and so processes of this machine too."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from libs.common.cluster.kubernetes import names
from tests.support.kubelab.examples import EXAMPLES, FOLDER, SOURCE
from tests.support.kubelab.fixtures import KubernetesCluster, fresh_namespace
from tests.support.kubernetes_world import prepare
from tests.support.live_platform import Json, LivePlatform

MACHINE_TYPES = """\
- {name: C4, cpus: 2, memoryGib: 1, requests: {cpus: 0.01, memoryGib: 0.05}}
- {name: small, cpus: 0.25, memoryGib: 0.5}
"""
"""The machine is small, and many replicas of tests are on it."""


class PodPlatform(LivePlatform):
    """Its replicas are in a namespace of their own. A home's machine types are beside it."""

    def __init__(self, home: Path, cluster: KubernetesCluster, namespace: str, **environment: str) -> None:
        types = home.with_name(f"{home.name}.machine-types.yaml")
        types.write_text(MACHINE_TYPES)
        super().__init__(
            home,
            SPECSTREAM_CLUSTER="kubernetes",
            SPECSTREAM_KUBECONFIG=str(cluster.kubeconfig),
            SPECSTREAM_KUBE_NAMESPACE=namespace,
            **{"SPECSTREAM_MACHINE_TYPES": str(types), **environment},
        )
        self.client = cluster.client
        self.namespace = namespace

    def fit(self, config: Json) -> Json:
        """One of ours: from the image that has the examples, where a command names one or the interpreter."""
        if not config["image"].startswith("specstream/"):
            return config
        inside = {sys.executable: "/usr/local/bin/python"}
        command = [
            inside.get(word, word.replace(f"{SOURCE}/", f"{FOLDER}/")) for word in config.get("command", ())
        ]
        return {**config, "image": EXAMPLES, **({"command": command} if command else {})}

    async def address(self, replica_id: str, _pid: int) -> str:
        pod = await asyncio.to_thread(self.client.get, f"{self._pods}/{names.pod_name(replica_id)}")
        (container,) = pod["spec"]["containers"]
        return f"{pod['status']['podIP']}:{container['ports'][0]['containerPort']}"

    @property
    def _pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"


@asynccontextmanager
async def pod_platform(
    cluster: KubernetesCluster, home: Path, **environment: str
) -> AsyncIterator[PodPlatform]:
    """One that runs, with nothing on it. Its namespace ends with it."""
    with fresh_namespace(cluster.client) as namespace:
        prepare(cluster.client, namespace)
        platform = PodPlatform(home, cluster, namespace, **environment)
        try:
            await platform.start_and_wait()
            yield platform
        finally:
            await platform.close()
