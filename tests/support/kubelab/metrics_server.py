"""What serves metrics.k8s.io: metrics-server itself, asked by way of the API server, over real kubelets."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.free_ports import free_port
from tests.support.kubelab import machine
from tests.support.kubelab.client import Client, Json
from tests.support.kubelab.parts import Part

RESOLUTION_S = 10
"""The shortest that it allows."""
PATIENCE_S = 300.0
"""A kubelet says how much is used since its last look, which it has every ten seconds."""

_NAME = "metrics-server"
_SERVICES = "/api/v1/namespaces/kube-system/services"
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
_APIS = "/apis/apiregistration.k8s.io/v1/apiservices"


@contextmanager
def metrics_server(
    client: Client, kubeconfig: Path, program: Path, directory: Path, *, node: str
) -> Iterator[None]:
    """Runs meanwhile, and knows what is used on the node."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    part = Part(
        _NAME,
        [
            program,
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={machine.ADDRESS}",
            f"--secure-port={port}",
            f"--cert-dir={directory}",
            f"--metric-resolution={RESOLUTION_S}s",
            # Has to be shorter than that.
            "--kubelet-request-timeout=5s",
            "--kubelet-insecure-tls",
            # The nodes are on one address, each with a port of its own.
            "--kubelet-use-node-status-port",
            "--kubelet-preferred-address-types=InternalIP",
        ],
        directory / "metrics-server.log",
    )

    def knows() -> bool:
        answer = client.ask("GET", f"/apis/metrics.k8s.io/v1beta1/nodes/{node}")
        return answer.status_code == 200

    made = [(_SERVICES, _SERVICE), (_SLICES, _slice(port)), (_APIS, _API)]
    try:
        for path, body in made:
            client.create(path, body)
        part.start()
        part.wait_until(knows, patience_s=PATIENCE_S)
        yield
    finally:
        part.kill()
        for path, body in reversed(made):
            client.delete(f"{path}/{body['metadata']['name']}")


_SERVICE: Json = {"metadata": {"name": _NAME}, "spec": {"ports": [{"port": 443, "protocol": "TCP"}]}}

_API: Json = {
    "metadata": {"name": "v1beta1.metrics.k8s.io"},
    "spec": {
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "service": {"namespace": "kube-system", "name": _NAME, "port": 443},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    },
}


def _slice(port: int) -> Json:
    """Where the service leads, since no pod of the cluster is behind it."""
    return {
        "metadata": {"name": _NAME, "labels": {"kubernetes.io/service-name": _NAME}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [machine.ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"port": port, "protocol": "TCP"}],
    }
