"""The start-up sweep and the slow resync: what no event tells, such as a replica record that is gone."""

import asyncio
from contextlib import suppress

import structlog

from libs.common.cluster.port import Cluster, ObservedWorkload, known
from libs.common.errors import ClusterUnavailable, LogUnavailable
from libs.common.events.envelope import Recorded
from libs.common.log.port import EventLog
from libs.common.log.snapshots import Snapshot
from libs.common.log.views import follow_views
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.state.aggregates import followed_by
from libs.common.state.view import DeploymentView, Views
from services.reconciler.converge import Reconciler

logger = structlog.get_logger()

RETRY_INTERVAL_S = 0.25
LONGEST_WAIT_S = 1.0
COMPARED_AT_ONCE = 100
"""Deployments, before somebody else may do something."""


class Resync:
    """Compares all deployments with one observation of the cluster, and has those reconciled that differ.

    It keeps every view in memory, so a round over converged deployments costs one observation, and a plan for
    those that changed.
    """

    def __init__(
        self,
        log: EventLog,
        cluster: Cluster,
        reconciler: Reconciler,
        progress: Progress,
        aside: Aside,
        *,
        interval_s: float,
        snapshot: Snapshot | None = None,
    ) -> None:
        """aside: shared with the handler of events; what failed in either is tried again here."""
        self._log = log
        self._cluster = cluster
        self._reconciler = reconciler
        self._plan = reconciler.plan
        self._progress = progress
        self._aside = aside
        self._interval_s = interval_s
        self._snapshot = snapshot
        self._views = Views(followed_by("reconciler"))
        self._is_due = asyncio.Event()
        self._strangers: frozenset[str] = frozenset()
        self._right: dict[str, tuple[DeploymentView, ObservedWorkload | None]] = {}
        """Of the last round: what needed nothing, by deployment."""

    async def follow(self) -> None:
        """Never returns."""
        await follow_views(
            self._log,
            self._views,
            Aside("follow", self._progress.set_aside),
            on_caught_up=self._on_caught_up,
            on_change=self._on_change,
            on_importing=self._progress.hold,
            snapshot=self._snapshot,
        )

    async def run(self) -> None:
        """Never returns: one round as soon as the log is read, then one each `interval_s`; what was set aside
        is tried again meanwhile."""
        await self._is_due.wait()
        while True:
            self._is_due.clear()
            try:
                await self.round()
                self._progress.is_ready, self._progress.problem = True, ""
                self._progress.detail["notices"] = list(self._cluster.notices)
                await self._retry_for(self._interval_s)
            except (ClusterUnavailable, LogUnavailable) as error:
                self._progress.is_ready, self._progress.problem = False, f"resync has to wait: {error}"
                logger.warning("resync has to wait", error=str(error), error_type=type(error).__name__)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._is_due.wait(), min(self._interval_s, LONGEST_WAIT_S))

    async def round(self) -> None:
        """Raises ClusterUnavailable and LogUnavailable."""
        observed = await self._cluster.observe()
        views = {view.deployment_id: view for view in self._views if view.deployment is not None}
        for gone in self._right.keys() - views.keys():
            del self._right[gone]
        strangers = set()
        for number, deployment_id in enumerate((*views, *(observed.keys() - views.keys()))):
            if number % COMPARED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if self._aside.is_resting(deployment_id):
                continue
            view = views.get(deployment_id)
            if not await self._compare(deployment_id, view, observed.get(deployment_id)):
                strangers.add(deployment_id)
        for deployment_id in strangers - self._strangers:
            logger.warning("the cluster holds what the log does not know", deployment_id=deployment_id)
        if self._cluster.abilities.is_ours_alone:
            # Known to be strangers a round ago too, so that no answer of a moment ends anything.
            for deployment_id in strangers & self._strangers:
                await self._reconciler.remove_stranger(deployment_id)
        self._strangers = frozenset(strangers)

    async def _compare(
        self, deployment_id: str, view: DeploymentView | None, workload: ObservedWorkload | None
    ) -> bool:
        """Have one deployment reconciled if it is not as the log says; False if the log does not know it."""
        with self._aside.attempt(deployment_id):
            if view is not None and self._is_right(view, known(workload)):
                return True
            return await self._reconciler.resync(deployment_id)
        return True

    def _is_right(self, view: DeploymentView, workload: ObservedWorkload | None) -> bool:
        """Whether there is nothing to do; known without a plan where nothing changed since the last round."""
        before = self._right.get(view.deployment_id)
        if before is not None and before[0] is view and before[1] == workload:
            return True
        step = self._plan(view, workload)
        if step.is_empty and not step.depends_on_time:
            self._right[view.deployment_id] = (view, workload)
        else:
            self._right.pop(view.deployment_id, None)
        return step.is_empty

    async def _retry_for(self, seconds: float) -> None:
        """Wait, at most until a round is due, and try again what was set aside meanwhile."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0 and not self._is_due.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_due.wait(), min(left, RETRY_INTERVAL_S))
            for deployment_id in self._aside.due():
                with self._aside.attempt(deployment_id):
                    await self._reconciler.resync(deployment_id)

    def _on_caught_up(self, sequence: int) -> None:
        self._progress.applied(sequence)
        self._is_due.set()

    def _on_change(self, _: DeploymentView, event: Recorded) -> None:
        self._progress.applied(event.sequence)
