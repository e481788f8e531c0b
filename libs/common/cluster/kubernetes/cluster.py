"""The port over one namespace of a Kubernetes cluster."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from libs.common.clock import Clock, Ticks, monotonic, utc_now
from libs.common.cluster.abilities import KUBERNETES, Abilities
from libs.common.cluster.changed import Changed
from libs.common.cluster.fencing import Fence
from libs.common.cluster.kubernetes import names, pod_security
from libs.common.cluster.kubernetes.budget import Budget
from libs.common.cluster.kubernetes.client import Client
from libs.common.cluster.kubernetes.knowledge import Knowledge
from libs.common.cluster.kubernetes.log_reading import LogReader
from libs.common.cluster.kubernetes.sweeper import Sweeper
from libs.common.cluster.kubernetes.trials import Trials
from libs.common.cluster.kubernetes.usage import used
from libs.common.cluster.kubernetes.writer import Timing, Writer
from libs.common.cluster.port import Checked, LastWords, LogPage, ObservedWorkload, Workload
from libs.common.cluster.usage import Used
from libs.common.errors import CannotApply
from libs.common.events.envelope import Position
from libs.common.machine_types.catalogue import MachineTypes


class KubernetesCluster:
    """See the port. Made by `opened`; several processes may have one on the same namespace."""

    def __init__(
        self,
        client: Client,
        *,
        machine_types: MachineTypes,
        timing: Timing,
        security: pod_security.Level,
        abilities: Abilities,
        clock: Clock,
        ticks: Ticks,
    ) -> None:
        self._client = client
        self._abilities = abilities
        self._knowledge = Knowledge(client, ticks=ticks, node_lost_s=timing.node_lost_s)
        self._trials = Trials(client, ticks=ticks, on_admitted=self._knowledge.tell_admitted)
        self._writer = Writer(
            client,
            self._knowledge,
            self._trials,
            machine_types=machine_types,
            timing=timing,
            security=security,
            clock=clock,
        )
        self._budget = Budget(client, self._knowledge.places)
        self._sweeper = Sweeper(self._knowledge, self._writer, self._budget, clock=clock, ticks=ticks)
        self._lasting: list[asyncio.Task[None]] = []
        self._logs = LogReader(client)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        kubeconfig: Path | None,
        *,
        namespace: str,
        machine_types: MachineTypes,
        timing: Timing,
        security: pod_security.Level = "restricted",
        abilities: Abilities = KUBERNETES,
        clock: Clock = utc_now,
        ticks: Ticks = monotonic,
    ) -> AsyncIterator[Self]:
        """For as long as the block runs; replicas go on afterwards. Nothing is asked before it is needed.

        kubeconfig: None for the cluster whose pod we are in.
        """
        client = Client(kubeconfig, namespace, clock=clock, ticks=ticks)
        cluster = cls(
            client,
            machine_types=machine_types,
            timing=timing,
            security=security,
            abilities=abilities,
            clock=clock,
            ticks=ticks,
        )
        try:
            yield cluster
        finally:
            await cluster._close()
            await client.close()

    @property
    def abilities(self) -> Abilities:
        return self._abilities

    @property
    def notices(self) -> tuple[str, ...]:
        found = []
        if refusal := self._knowledge.places.nodes.refusal:
            found.append(
                "replicas are not moved before their node is emptied, and no disruption budget makes that "
                f"wait: {refusal}"
            )
        elif self._budget.problem:
            found.append(
                "the disruption budget that makes drains wait until replicas have moved cannot be kept: "
                f"{self._budget.problem}"
            )
        if refusal := self._knowledge.events.refusal:
            found.append(f"why a replica waits or is not ready is told in part only: {refusal}")
        return tuple(found)

    async def apply(self, workload: Workload, *, fence: Fence) -> None:
        await self._prepare()
        await self._writer.apply(workload, fence)

    async def restart(self, deployment_id: str, replica_id: str, *, attempt: int) -> None:
        raise CannotApply(
            f"replica {replica_id} of {deployment_id}, attempt {attempt}: on this cluster the kubelet "
            "carries out the checks and ends whom they condemn"
        )

    async def run_check(
        self, deployment_id: str, replica_id: str, *, attempt: int, command: Sequence[str], timeout_s: float
    ) -> Checked:
        raise CannotApply(
            f"replica {replica_id} of {deployment_id}, attempt {attempt}: on this cluster the kubelet runs "
            f"{command[0]!r}, with its time limit of {timeout_s:g} s"
        )

    async def take_over(self, deployment_id: str, *, recorded: Position, fence: Position) -> None:
        await self._prepare()
        await self._writer.take_over(deployment_id, recorded=recorded, fence=fence)

    async def remove(self, deployment_id: str, *, fence: Fence) -> None:
        await self._prepare()
        await self._writer.remove(deployment_id, fence)

    async def observe(self, deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        await self._prepare()
        asked = self._knowledge.deployment_ids() if deployment_id is None else (deployment_id,)
        observed = ((each, self._knowledge.observe(each)) for each in asked)
        return {each: workload for each, workload in observed if workload is not None}

    async def confirm(
        self, deployment_id: str, replica_ids: Collection[str], seen: ObservedWorkload | None
    ) -> bool:
        await self._prepare()
        return await self._knowledge.confirm(deployment_id, replica_ids, seen)

    async def watch(self) -> AsyncIterator[Changed]:
        await self._prepare()
        async for changed in self._knowledge.watch():
            yield changed

    async def usage(self) -> Sequence[Used]:
        await self._prepare()
        measured = await self._client.usage(names.selector(names.REPLICAS))
        return list(used(measured, self._knowledge.pods.items))

    async def logs(
        self,
        deployment_id: str,
        *,
        limit: int,
        replica_id: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
    ) -> LogPage:
        return await self._logs.page(
            deployment_id, limit=limit, replica_id=replica_id, after=after, newest_first=newest_first
        )

    def last_words(
        self, deployment_id: str, replica_id: str, *, most_bytes: int, ends_within_s: float
    ) -> AsyncIterator[LastWords]:
        return self._logs.last_words(
            deployment_id, replica_id, most_bytes=most_bytes, ends_within_s=ends_within_s
        )

    async def _prepare(self) -> None:
        """Raises ClusterUnavailable."""
        await self._knowledge.wait_until_known()
        if not self._lasting:
            self._lasting = [asyncio.create_task(each.run()) for each in (self._sweeper, self._trials)]
        for task in self._lasting:
            if task.done():
                task.result()

    async def _close(self) -> None:
        for task in self._lasting:
            task.cancel()
        await asyncio.gather(*self._lasting, return_exceptions=True)
        await self._knowledge.close()
