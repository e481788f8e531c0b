"""The start-up sweep and the resync: what no event tells, such as a replica record that is gone."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from libs.common.cluster.port import Cluster, ObservedWorkload, known
from libs.common.errors import ClusterUnavailable, LogUnavailable
from libs.common.events.envelope import Recorded
from libs.common.leading import ALWAYS, Leading, while_leading
from libs.common.log.port import EventLog, Importing
from libs.common.log.snapshots import Snapshot
from libs.common.log.views import follow_views
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.state.aggregates import followed_by
from libs.common.state.router import joined
from libs.common.state.view import DeploymentView, Views
from services.reconciler.converge import Reconciler
from services.reconciler.due import Due
from services.reconciler.refused import Refused
from services.reconciler.waiting import waited_for

logger = structlog.get_logger()

LONGEST_WAIT_S = 1.0
SOON_S = 10.0
"""When what depends on the time is compared again, and what the log seems not to know."""
UNHANDLED_S = 3.0
"""After an event that nobody here was woken for: the copy that was may have died, or be paused."""
REST_S = 1.0
REST_OF_EACH_S = 0.005
"""A deployment that changes all the time is compared no more often, the longer the more replicas it has: its
events wake somebody anyway."""
COMPARED_AT_ONCE = 100
"""Deployments, before somebody else may do something."""


class Resync:
    """Compares deployments with what the cluster shows, and has those reconciled that differ.

    | what                                                 | compared                        |
    |------------------------------------------------------|---------------------------------|
    | the cluster says that something of it changed        | at once, but see `REST_S`       |
    | an event of it that this process has not handled     | 3 s after the event             |
    | something is to be done, or will be some time        | every 10 s                      |
    | any                                                  | every `interval_s`              |
    | what the cluster has refused, and would take by now  | at once                         |
    | a spec that the cluster has refused: it is tried     | after `interval_s`, then after  |
    | again                                                | longer and longer               |

    Of several copies the leading one compares. Each tries again what it has set aside itself.

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
        leading: Leading = ALWAYS,
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
        self._leading = leading
        self._views = Views(followed_by("reconciler"))
        self._unread = Aside("follow", progress.set_aside)
        """Deployments of which the views lack an event."""
        self._is_whole = False
        """Whether the views have everything up to their sequence."""
        self._is_importing = False
        self._is_caught_up = asyncio.Event()
        self._wake = asyncio.Event()
        self._must_compare_all = True
        self._due = Due()
        self._refused = Refused(interval_s)
        self._admitted: set[str] = set()
        """Those of which the cluster would take by now what it has refused."""
        self._heard = Due()
        """Those of which there was an event, and when it has to have been handled."""
        self._strangers: frozenset[str] = frozenset()
        self._has_new_strangers = False
        self._right: dict[str, tuple[DeploymentView, ObservedWorkload | None]] = {}
        """Of the last round: what needed nothing, by deployment."""

    async def follow(self) -> None:
        """Never returns."""
        await follow_views(
            self._log,
            self._views,
            self._unread,
            on_caught_up=self._on_caught_up,
            on_change=self._on_change,
            on_apart=self._on_apart,
            on_importing=self._on_importing,
            snapshot=self._snapshot,
        )

    def is_done(self, event: Recorded) -> bool:
        """Whether nothing is left to do because of an event, as far as is known here without asking anybody.

        Of a deployment that is gone there is not. Should the cluster hold anything of it, a round finds that.
        While an import is on its way nothing can be done: all is compared when it is whole.
        """
        deployment_id = event.aggregate.id
        if self._is_importing or self._reconciler.has_taken_in(event):
            return True
        if not self._is_whole or event.sequence > self._views.sequence or deployment_id in self._unread:
            return False
        return deployment_id not in self._views.by_id

    async def run(self) -> None:
        """Never returns: compares as soon as the log is read and this copy leads, and from then on."""
        await self._is_caught_up.wait()
        if not self._leading.is_held:
            self._progress.is_ready = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._try_again())
            group.create_task(while_leading(self._leading, self._lead))

    async def _lead(self) -> None:
        self._must_compare_all = True
        self._right.clear()
        self._due, self._heard, self._admitted = Due(), Due(), set()
        self._strangers = frozenset()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._compare_what_is_due())
        finally:
            self._progress.is_ready, self._progress.problem = True, ""

    async def _listen(self) -> None:
        """Hear from the cluster which deployments changed there."""
        while True:
            try:
                async for changed in self._cluster.watch():
                    self._must_compare_all = self._must_compare_all or changed.everything
                    self._due.now(changed.deployment_ids)
                    self._admitted |= changed.admitted
                    self._wake.set()
            except ClusterUnavailable:
                # The next round finds out what is wrong, and says it.
                self._must_compare_all = True
                self._wake.set()
                await asyncio.sleep(LONGEST_WAIT_S)

    async def _compare_what_is_due(self) -> None:
        loop = asyncio.get_running_loop()
        round_at = loop.time()
        while True:
            self._wake.clear()
            try:
                if self._must_compare_all or loop.time() >= round_at:
                    self._must_compare_all = False
                    await self.round()
                    pause_s = min(SOON_S, self._interval_s) if self._has_new_strangers else self._interval_s
                    round_at = loop.time() + pause_s
                else:
                    self._due.now(filter(self._is_unhandled, self._heard.take(loop.time())))
                    for deployment_id in self._due.take(loop.time()):
                        await self.compare(deployment_id)
                await self._go_on()
                self._progress.is_ready, self._progress.problem = True, ""
                waiting = waited_for(self._views, joined(self._views.apart))
                self._progress.detail["notices"] = [*self._cluster.notices, *waiting]
                until = min(round_at, self._due.next_at(), loop.time() + LONGEST_WAIT_S)
            except (ClusterUnavailable, LogUnavailable) as error:
                self._progress.is_ready, self._progress.problem = False, f"resync has to wait: {error}"
                logger.warning("resync has to wait", error=str(error), error_type=type(error).__name__)
                self._must_compare_all = True
                until = loop.time() + min(self._interval_s, LONGEST_WAIT_S)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._wake.wait()

    def _is_unhandled(self, deployment_id: str) -> bool:
        """Whether the log has an event of it that this process has not taken in."""
        view = self._views.by_id.get(deployment_id)
        return view is not None and not self._reconciler.has_handled(view)

    async def _try_again(self) -> None:
        """What was set aside, by whichever copy it was: nobody else knows of it."""
        while True:
            await self._aside.until_due()
            try:
                for deployment_id in self._aside.due():
                    with self._aside.attempt(deployment_id):
                        await self._reconciler.resync(deployment_id)
            except (ClusterUnavailable, LogUnavailable):
                # Nothing can be done for anybody; who compares says why.
                await asyncio.sleep(LONGEST_WAIT_S)

    async def round(self) -> None:
        """Raises ClusterUnavailable and LogUnavailable."""
        as_of = self._views.sequence
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
            if not await self._compare(deployment_id, view, observed.get(deployment_id), as_of):
                strangers.add(deployment_id)
        for deployment_id in strangers - self._strangers:
            logger.warning("the cluster holds what the log does not know", deployment_id=deployment_id)
        if self._cluster.abilities.is_ours_alone:
            # Known to be strangers a round ago too, so that no answer of a moment ends anything.
            for deployment_id in strangers & self._strangers:
                if self._leading.is_held:
                    await self._reconciler.remove_stranger(deployment_id)
        self._has_new_strangers = bool(strangers - self._strangers)
        self._strangers = frozenset(strangers)
        await self._retry([found for view in views.values() if (found := _refused(view)) is not None])

    async def _go_on(self) -> None:
        """With what the cluster would take by now: what was set aside for that, and failed specs."""
        while self._admitted:
            deployment_id = self._admitted.pop()
            view = self._views.by_id.get(deployment_id)
            if deployment_id in self._aside:
                self._aside.hurry(deployment_id)
            elif view is not None and _refused(view) is not None:
                await self._try_refused([deployment_id])

    async def _retry(self, refused: Sequence[tuple[str, str]]) -> None:
        await self._try_refused(self._refused.due(refused, asyncio.get_running_loop().time()))

    async def _try_refused(self, deployment_ids: Sequence[str]) -> None:
        for deployment_id in deployment_ids:
            if self._leading.is_held and not self._aside.is_resting(deployment_id):
                with self._aside.attempt(deployment_id):
                    await self._reconciler.retry(deployment_id)

    async def compare(self, deployment_id: str) -> None:
        """As a round does with each; what the log does not know is left to a round.

        Raises ClusterUnavailable and LogUnavailable.
        """
        view = self._views.by_id.get(deployment_id)
        if view is None or view.deployment is None or self._aside.is_resting(deployment_id):
            return
        as_of = self._views.sequence
        workload = (await self._cluster.observe(deployment_id)).get(deployment_id)
        rest_s = max(REST_S, REST_OF_EACH_S * len(workload.replicas if workload else ()))
        self._due.rest(deployment_id, asyncio.get_running_loop().time() + rest_s)
        await self._compare(deployment_id, view, workload, as_of)

    async def _compare(
        self,
        deployment_id: str,
        view: DeploymentView | None,
        workload: ObservedWorkload | None,
        as_of: int,
    ) -> bool:
        """Have one deployment reconciled if it is not as the log says; False if the log does not know it.

        as_of: the sequence of the views before the cluster was asked.
        """
        if not self._leading.is_held:
            return True
        with self._aside.attempt(deployment_id):
            if view is not None and self._is_right(view, known(workload)):
                # Of what came while the cluster was asked, the answer may not know yet.
                if view.sequence <= as_of and self._views.by_id.get(deployment_id) is view:
                    self._reconciler.saw(view)
                return True
            return await self._reconciler.resync(deployment_id)
        return True

    def _is_right(self, view: DeploymentView, workload: ObservedWorkload | None) -> bool:
        """Whether there is nothing to do; known without a plan where nothing changed since the last round."""
        before = self._right.get(view.deployment_id)
        if before is not None and before[0] is view and before[1] == workload:
            return True
        step = self._plan(view, workload, joined(self._views.apart))
        if step.is_empty and not step.depends_on_time:
            self._right[view.deployment_id] = (view, workload)
        else:
            self._right.pop(view.deployment_id, None)
            self._due.at(view.deployment_id, asyncio.get_running_loop().time() + SOON_S)
        return step.is_empty

    def _on_importing(self, importing: Importing | None) -> None:
        self._is_importing = importing is not None
        self._is_whole = self._is_whole and not self._is_importing
        self._progress.hold(importing)

    def _on_caught_up(self, sequence: int) -> None:
        self._progress.applied(sequence)
        self._is_whole = True
        self._is_caught_up.set()
        self._must_compare_all = True
        self._wake.set()

    def _on_apart(self, event: Recorded) -> None:
        """There is a router more or less, whose word may be the last that some replica has waited for."""
        self._progress.applied(event.sequence)
        self._right.clear()
        self._must_compare_all = True
        self._wake.set()

    def _on_change(self, view: DeploymentView, event: Recorded) -> None:
        self._progress.applied(event.sequence)
        if view.rollout.is_removed:
            self._reconciler.forget(view.deployment_id)
        if self._leading.is_held:
            self._heard.at(view.deployment_id, asyncio.get_running_loop().time() + UNHANDLED_S)


def _refused(view: DeploymentView) -> tuple[str, str] | None:
    """The deployment and its newest spec, where the cluster has refused that."""
    deployment, failed = view.deployment, view.rollout.failed_spec_id
    if deployment is None or not deployment.exists or failed is None or failed != deployment.spec_id:
        return None
    return view.deployment_id, failed
