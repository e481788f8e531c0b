"""Following the log: which deployments scale by load, their replicas, and what was decided before."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog

from libs.common.clock import Clock, Ticks
from libs.common.errors import LogUnavailable
from libs.common.events.envelope import Recorded, select
from libs.common.events.scaling import ReplicasDecided, ScalingFact
from libs.common.log.port import EventLog, Importing
from libs.common.log.snapshots import Snapshot
from libs.common.log.views import follow_views
from libs.common.runtime import Progress
from libs.common.scaling.behavior import MAX_PERIOD_S
from libs.common.set_aside import Aside
from libs.common.state.view import DeploymentView
from services.autoscaler.fleet import Fleet
from services.autoscaler.knowledge import Knowledge
from services.autoscaler.loop import Loop

logger = structlog.get_logger()

RETRY_S: Final = 0.25
NOTED_AT_ONCE: Final = 200
"""Views, before somebody else may do something."""


class Follower:
    """Keeps `knowledge.views` up, and has the loop decide about what changed."""

    def __init__(
        self,
        log: EventLog,
        knowledge: Knowledge,
        loop: Loop,
        progress: Progress,
        *,
        ticks: Ticks,
        clock: Clock,
        fleet: Fleet | None = None,
        on_caught_up: Callable[[], None] = lambda: None,
    ) -> None:
        """fleet: what is shown of all deployments, where anybody looks."""
        self._log = log
        self._knowledge = knowledge
        self._loop = loop
        self._fleet = fleet
        self._progress = progress
        self._ticks = ticks
        self._clock = clock
        self._tell_caught_up = on_caught_up
        self._aside = Aside("follow", progress.set_aside)

    async def run(self, snapshot: Snapshot | None = None) -> None:
        """Never returns. Ready once all that was stored at the start is taken in."""
        await follow_views(
            self._log,
            self._knowledge.views,
            self._aside,
            on_caught_up=self._on_caught_up,
            on_change=self._on_change,
            on_importing=self._on_importing,
            snapshot=snapshot,
        )

    async def _on_caught_up(self, sequence: int) -> None:
        views = self._knowledge.views
        for number, view in enumerate(views):
            if number % NOTED_AT_ONCE == 0:
                await asyncio.sleep(0)
            # One that was set aside before lacks events here, and is noted when those were read.
            if view.deployment_id not in self._aside:
                with self._aside.attempt(view.deployment_id):
                    self._knowledge.note(view, None, now=self._ticks(), wall=self._clock())
        await self._read_changes(sequence)
        self._progress.applied(sequence)
        self._progress.is_ready = True
        self._tell_caught_up()
        self._loop.caught_up()
        if self._fleet is not None:
            self._fleet.note_all()
        logger.info("caught up", sequence=sequence, deployments=len(views.by_id))

    async def _read_changes(self, until: int) -> None:
        """The changes of the number that a rate may still count, with their ages by the time of day."""
        while self._knowledge.policies:
            self._knowledge.forget_changes()
            try:
                wall = self._clock()
                after = await self._log.sequence_at(wall - timedelta(seconds=MAX_PERIOD_S))
                changes = select(kind=ScalingFact.aggregate, event_type=ReplicasDecided.event_type())
                async for event in self._log.read(changes, after=after, until=until):
                    if isinstance(event.fact, ReplicasDecided):
                        age_s = max(0.0, (wall - event.time).total_seconds())
                        at = self._ticks() - age_s
                        self._knowledge.changed(event.aggregate.id, event.fact, at=at)
                return
            except LogUnavailable as error:
                logger.info("past changes have to wait for the log", error=str(error))
                await asyncio.sleep(RETRY_S)

    def _on_importing(self, importing: Importing | None) -> None:
        self._progress.hold(importing)
        if importing is not None:
            self._loop.importing()

    def _on_change(self, view: DeploymentView, event: Recorded) -> None:
        self._progress.applied(event.sequence)
        self._knowledge.note(view, event, now=self._ticks())
        self._loop.noted(view)
        if self._fleet is not None:
            self._fleet.note(view.deployment_id)
