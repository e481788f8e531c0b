"""A memory cluster that checks its replicas itself, as Kubernetes does."""

from dataclasses import replace

from libs.common.cluster.memory import MemoryCluster


class NativeCluster(MemoryCluster):
    """A test says how the checks of each replica stand."""

    def say(self, replica_id: str, *, ready: bool, message: str | None = None) -> None:
        self._put(replace(self._replica(replica_id), ready=ready, message=message))
