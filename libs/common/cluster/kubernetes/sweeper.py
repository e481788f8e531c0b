"""What follows from the anchors, whoever was interrupted: pods that are no replicas go, as old tombstones do.

Every process that watches the cluster does this, if it may: whatever is deleted is named by its uid, so it
does not matter how many do.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Final

import structlog

from libs.common.clock import Clock, Ticks
from libs.common.cluster.kubernetes.anchor import is_expired
from libs.common.cluster.kubernetes.anchor_object import AnchorObject
from libs.common.cluster.kubernetes.budget import Budget
from libs.common.cluster.kubernetes.knowledge import Knowledge
from libs.common.cluster.kubernetes.pods import Pod
from libs.common.cluster.kubernetes.writer import Writer
from libs.common.errors import CannotApply, ClusterUnavailable, DeploymentUnavailable

logger = structlog.get_logger()

EVERY_S: Final = 1.0
PATIENCE_S: Final = 2.0
"""Whoever lists a replica makes its pod, and whoever tells one to end deletes it, within this time."""
_ALL_EVERY_S: Final = 30.0


class Sweeper:
    def __init__(
        self, knowledge: Knowledge, writer: Writer, budget: Budget, *, clock: Clock, ticks: Ticks
    ) -> None:
        self._knowledge = knowledge
        self._writer = writer
        self._budget = budget
        self._clock = clock
        self._ticks = ticks
        self._suspected_at: dict[str, float] = {}
        """By the uid of a pod."""
        self._looked_at_change = -1
        """Where nothing was suspect at it and nothing has changed since, nothing is."""

    async def run(self) -> None:
        """Never returns."""
        asked_for_all = self._ticks() - _ALL_EVERY_S
        while True:
            is_whole = self._ticks() - asked_for_all >= _ALL_EVERY_S
            try:
                await self._knowledge.wait_until_known()
                await self.sweep(is_whole=is_whole)
            except ClusterUnavailable as error:
                logger.debug("cannot sweep", error=str(error))
            else:
                asked_for_all = self._ticks() if is_whole else asked_for_all
            await asyncio.sleep(EVERY_S)

    async def sweep(self, *, is_whole: bool) -> None:
        """Once. is_whole: look at tombstones and at the disruption budget too. Raises ClusterUnavailable."""
        if is_whole:
            await self._budget.keep()
            await self._delete_tombstones()
        if self._suspected_at or self._looked_at_change != self._knowledge.changes:
            self._looked_at_change = self._knowledge.changes
            await self._delete_strays()

    async def _delete_strays(self) -> None:
        suspects = [pod for pod in self._knowledge.pods.items.values() if self._is_suspect(pod)]
        self._suspected_at = {pod.uid: self._suspected_at.get(pod.uid, self._ticks()) for pod in suspects}
        overdue = [pod for pod in suspects if self._ticks() - self._suspected_at[pod.uid] >= PATIENCE_S]
        for deployment_id, pods in _by_deployment(overdue).items():
            # Once for all of them: each was there before, and what an anchor does not list now it never will.
            held = await self._writer.anchor_from_server(deployment_id)
            for pod in pods:
                self._suspected_at[pod.uid] = self._ticks()  # not at once again, whatever comes of it
                if not _may_stay(pod, held):
                    logger.info(
                        "deleting a pod that is no replica or has to end",
                        pod=pod.name,
                        deployment_id=deployment_id,
                    )
                    await _try(self._writer.delete_pod(pod), pod.name)

    async def _delete_tombstones(self) -> None:
        for held in list(self._knowledge.anchors.items.values()):
            is_bare = not self._knowledge.pods_of(held.deployment_id)
            if is_bare and held.anchor is not None and is_expired(held.anchor, self._clock()):
                await _try(self._writer.delete_anchor(held), held.name)

    def _is_suspect(self, pod: Pod) -> bool:
        if pod.is_deleted:
            return False
        return not _may_stay(pod, self._knowledge.anchor(pod.deployment_id))


async def _try(deletion: Awaitable[object], name: str) -> None:
    """What a policy, a quota or a webhook keeps is tried again later, and holds up nothing else."""
    try:
        await deletion
    except (CannotApply, DeploymentUnavailable) as error:
        logger.warning("cannot delete what has to go", name=name, error=str(error))


def _by_deployment(pods: Iterable[Pod]) -> Mapping[str, Sequence[Pod]]:
    found: dict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        found[pod.deployment_id].append(pod)
    return found


def _may_stay(pod: Pod, held: AnchorObject | None) -> bool:
    """Whether the anchor lists it to go on. One that cannot be read says nothing about its pods."""
    if held is not None and held.anchor is None:
        return True
    if held is None or held.anchor is None or pod.owner_uid != held.uid:
        return False
    listed = held.anchor.by_id.get(pod.replica_id)
    return listed is not None and not listed.is_stopping and not pod.has_ended
