"""A Kubernetes with simulated nodes, a platform on it, and what that asks of the API server."""

import asyncio
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx

from tests.support.kubelab import binary
from tests.support.kubelab.control_plane import ControlPlane
from tests.support.kubernetes_world import prepare
from tests.support.live_platform import LivePlatform
from tests.support.polling import eventually

NAMESPACE = "default"
MACHINE_TYPES = "- {name: tiny, cpus: 0.1, memoryGib: 0.1}\n"
LOOK_EVERY_S = 1.0
ALL_READY = "1/1"
"""Of the containers of a pod, each of which has one."""
_READS = frozenset({"get", "list", "watch"})


def spec_of(name: str, *, replicas: int, version: str = "1") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "name": name,
        "image": "simulated/main:1",
        "env": [{"name": "VERSION", "value": version}],
        "resources": {"machineType": "tiny", "ports": [8000], "replicas": replicas},
        "healthChecks": {"readiness": {"path": "/ready"}},
    }


@dataclass(frozen=True, slots=True)
class Request:
    """One that the platform has asked. name: of the object, where it has one."""

    at: datetime
    verb: str
    kind: str
    name: str

    @property
    def is_watch(self) -> bool:
        return self.verb == "watch"

    @property
    def is_write(self) -> bool:
        return self.verb not in _READS


class Lab:
    """plane: nobody else uses it. platform: asks by way of the audited identity. first_start_s: how long it
    took until it was healthy, with nothing on it and a home that is new."""

    def __init__(self, plane: ControlPlane, platform: LivePlatform, first_start_s: float) -> None:
        self.plane = plane
        self.platform = platform
        self.first_start_s = first_start_s

    def written(self) -> int:
        """How far the audit log goes by now."""
        return self.plane.audit_log.stat().st_size if self.plane.audit_log.exists() else 0

    def requests(self, since: int) -> list[Request]:
        with self.plane.audit_log.open("rb") as log:
            log.seek(since)
            return [_parse(json.loads(line)) for line in log if line.endswith(b"\n")]

    async def ready(self, namespace: str, pods: int, *, within_s: float) -> None:
        """Wait until so many pods are there, and all of them ready.

        It looks at one column of them: whole pods are megabytes at each look, and would take a tenth of the
        machine from whoever waits for longer.
        """

        async def are_ready() -> bool:
            path = f"/api/v1/namespaces/{namespace}/pods"
            try:
                found = await asyncio.to_thread(self.plane.client.column, path, "Ready", resourceVersion="0")
            except httpx.TransportError:
                return False  # a server that is busy breaks off so long an answer
            return len(found) == pods and all(one == ALL_READY for one in found)

        await eventually(are_ready, within_s=within_s, every_s=LOOK_EVERY_S)

    async def kubectl(self, *arguments: str | Path) -> None:
        argv: Sequence[str | Path] = [
            self.plane.program,
            "kubectl",
            f"--kubeconfig={self.plane.kubeconfig}",
            *arguments,
        ]
        await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True)


@asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    """Raises binary.CannotBuild where there is no Kubernetes to be had."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        plane = ControlPlane(folder / "kubelab", await asyncio.to_thread(binary.ensure), is_audited=True)
        types = folder / "types.yaml"
        types.write_text(MACHINE_TYPES)
        platform = LivePlatform(
            folder / "home",
            SPECSTREAM_CLUSTER="kubernetes",
            SPECSTREAM_KUBECONFIG=str(plane.audited_kubeconfig),
            SPECSTREAM_KUBE_NAMESPACE=NAMESPACE,
            SPECSTREAM_MACHINE_TYPES=str(types),
        )
        try:
            await asyncio.to_thread(plane.start)
            prepare(plane.client, NAMESPACE)
            start = perf_counter()
            await platform.start_and_wait()
            await platform.healthy()
            yield Lab(plane, platform, perf_counter() - start)
        finally:
            await platform.close()
            plane.stop()


def _parse(line: dict[str, Any]) -> Request:
    about = line.get("objectRef") or {}
    return Request(
        datetime.fromisoformat(line["requestReceivedTimestamp"]),
        line["verb"],
        about.get("resource", ""),
        about.get("name", ""),
    )
