"""The start-up sweep and the slow resync: what no event tells, such as a replica record that is gone."""

import asyncio
from contextlib import suppress

import structlog

from libs.common.cluster.port import Cluster
from libs.common.errors import ClusterUnavailable, LogUnavailable
from libs.common.events.envelope import Recorded
from libs.common.log.port import EventLog
from libs.common.log.worlds import follow_worlds
from libs.common.runtime import Progress
from libs.common.state.world import DeploymentWorld, Worlds
from services.reconciler.converge import Reconciler
from services.reconciler.plan import plan

logger = structlog.get_logger()


class Resync:
    """Compares all deployments with one look at the cluster, and wakes the reconciler where they differ.

    It keeps every world in memory, so a round over converged deployments costs one observation.
    """

    def __init__(
        self,
        log: EventLog,
        cluster: Cluster,
        reconciler: Reconciler,
        progress: Progress,
        *,
        interval_s: float,
    ) -> None:
        self._log = log
        self._cluster = cluster
        self._reconciler = reconciler
        self._progress = progress
        self._interval_s = interval_s
        self._worlds = Worlds()
        self._is_due = asyncio.Event()
        self._strangers: frozenset[str] = frozenset()

    async def follow(self) -> None:
        """Never returns."""
        await follow_worlds(
            self._log,
            self._worlds,
            on_caught_up=self._on_caught_up,
            on_change=self._on_change,
            on_importing=self._progress.hold,
        )

    async def run(self) -> None:
        """Never returns: one round as soon as the log is read, then one each `interval_s`."""
        await self._is_due.wait()
        while True:
            self._is_due.clear()
            try:
                await self.round()
                self._progress.is_ready = True
            except (ClusterUnavailable, LogUnavailable) as error:
                self._progress.is_ready = False
                logger.warning("resync has to wait", error=str(error), error_type=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_due.wait(), self._interval_s)

    async def round(self) -> None:
        """Raises ClusterUnavailable and LogUnavailable."""
        observed = await self._cluster.observe()
        known = {world.deployment_id: world for world in self._worlds if world.deployment is not None}
        differing = [id_ for id_, world in known.items() if not plan(world, observed.get(id_)).is_empty]
        strangers = set()
        for deployment_id in (*differing, *(observed.keys() - known.keys())):
            if not await self._look(deployment_id):
                strangers.add(deployment_id)
        for deployment_id in strangers - self._strangers:
            logger.warning("the cluster holds what the log does not know", deployment_id=deployment_id)
        # Known to be strangers a round ago too, so that no answer of a moment ends anything.
        for deployment_id in strangers & self._strangers:
            await self._reconciler.remove_stranger(deployment_id)
        self._strangers = frozenset(strangers)

    async def _look(self, deployment_id: str) -> bool:
        try:
            return await self._reconciler.look(deployment_id)
        except (ClusterUnavailable, LogUnavailable):
            raise
        except Exception:  # one deployment's trouble must not keep the others waiting
            logger.exception("resync of a deployment failed", deployment_id=deployment_id)
            return True

    def _on_caught_up(self, sequence: int) -> None:
        self._progress.applied(sequence)
        self._is_due.set()

    def _on_change(self, _: DeploymentWorld, event: Recorded) -> None:
        self._progress.applied(event.sequence)
