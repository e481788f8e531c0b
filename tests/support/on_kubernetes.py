"""How a platform or a service is told that its replicas are pods."""

from pathlib import Path


def on_kubernetes(kubeconfig: Path, namespace: str) -> dict[str, str]:
    """Its settings."""
    return {
        "SPECSTREAM_CLUSTER": "kubernetes",
        "SPECSTREAM_KUBECONFIG": str(kubeconfig),
        "SPECSTREAM_KUBE_NAMESPACE": namespace,
    }
