"""Looks at a Kubernetes cluster as the services do, and changes nothing there."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.kubernetes.client import Client
from libs.common.cluster.kubernetes.knowledge import Knowledge
from libs.common.cluster.port import ObservedWorkload


class Onlooker:
    """`observe` of the port. The adapter itself deletes what is no replica, as every process that has it."""

    def __init__(self, client: Client) -> None:
        self._knowledge = Knowledge(client, ticks=monotonic, node_lost_s=60)

    @classmethod
    @asynccontextmanager
    async def of(cls, kubeconfig: Path, namespace: str) -> AsyncIterator[Self]:
        client = Client(kubeconfig, namespace, clock=utc_now, ticks=monotonic)
        onlooker = cls(client)
        try:
            yield onlooker
        finally:
            await onlooker._knowledge.close()
            await client.close()

    async def observe(self, deployment_id: str) -> Mapping[str, ObservedWorkload]:
        await self._knowledge.wait_until_known()
        found = self._knowledge.observe(deployment_id)
        return {} if found is None else {deployment_id: found}
