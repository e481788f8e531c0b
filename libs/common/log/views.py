"""Following the log into `Views`: how a service that holds no durable keeps up with everything."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from libs.common.errors import LogUnavailable
from libs.common.events.envelope import Position, Recorded, select
from libs.common.log.port import CaughtUp, EventLog, Importing
from libs.common.log.snapshots import Kept, Snapshot
from libs.common.set_aside import Aside
from libs.common.state.view import DeploymentView, Views

logger = structlog.get_logger()

OnChange = Callable[[DeploymentView, Recorded], None]
OnApart = Callable[[Recorded], None]

RETRY_INTERVAL_S: Final = 0.25

WORTH_A_SNAPSHOT: Final = 1_000
"""Events since the last one, which are read again in a tenth of a second. With many views there have to be
more, a quarter of their number, since a snapshot writes all of them."""


async def follow_views(
    log: EventLog,
    views: Views,
    aside: Aside,
    *,
    on_caught_up: Callable[[int], None],
    on_change: OnChange,
    on_importing: Callable[[Importing | None], None],
    on_apart: OnApart = lambda _: None,
    snapshot: Snapshot | None = None,
) -> None:
    """Rebuild `views`, from the snapshot or by last-per-subject, then keep it up; never returns.

    snapshot: where views are kept over a restart; written when reading the log again would take longer.
    on_caught_up: called with the sequence up to which `views` is complete; the caller then goes over
    all views itself. Called once, and again when an import has filled the log.
    on_importing: called with how far an import is; with None when all of it is in `views`. Nothing may be
    decided meanwhile. on_change: called once caught up for each event of a deployment, with the view as it is
    after it; a deployment that is gone is given once more, and is in `views` no longer. on_apart: the same
    for each event of an aggregate that is no part of a deployment's view; `views.apart` has it already.
    What an event that cannot be taken in is about is set aside in `aside`, keeps the state that it had, and
    is read from the log again later; all others go on.
    Raises what `EventLog.follow` raises.
    """
    is_caught_up = asyncio.Event()

    def tell(view: DeploymentView | None, event: Recorded) -> None:
        if view is None:
            on_apart(event)
        else:
            on_change(view, event)

    retrying = asyncio.ensure_future(_take_again(log, views, aside, is_caught_up, tell))
    kept = _Keeping(snapshot)
    try:
        begin = await kept.read(log, views)
        async for item in log.follow(*views.filters, after=begin):
            if isinstance(item, Importing):
                is_caught_up.clear()
                on_importing(item)
                continue
            views.sequence = max(views.sequence, item.sequence)
            if isinstance(item, CaughtUp):
                on_importing(None)
                on_caught_up(item.sequence)
                is_caught_up.set()
                kept.write(views, aside)
                continue
            kept.took(item)
            if item.aggregate.id in aside:
                # An event before this one is missing in its view: all of them have to be read again.
                aside.hurry(item.aggregate.id)
            else:
                with aside.attempt(item.aggregate.id):
                    view = views.apply(item)
                    if is_caught_up.is_set():
                        tell(view, item)
            if is_caught_up.is_set():
                kept.write(views, aside)
    finally:
        kept.stop()
        retrying.cancel()


class _Keeping:
    """What a follower keeps over a restart, and how far the views have gone from there."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot
        self._identity = ""
        self._newest = Position(0)
        self._events = 0
        self._writing: asyncio.Future[None] | None = None

    async def read(self, log: EventLog, views: Views) -> int | None:
        """Behind which sequence to follow; None from the beginning. A log that is away is waited for."""
        while self._snapshot is not None:
            try:
                self._identity = await log.identity()
                position = await self._snapshot.read(log, views)
            except LogUnavailable as error:
                logger.info("the snapshot has to wait for the log", error=str(error))
                views.clear()
                await asyncio.sleep(RETRY_INTERVAL_S)
                continue
            if position is None:
                return None
            self._newest = position
            return position.sequence
        return None

    def took(self, event: Recorded) -> None:
        self._newest = Position(event.sequence, self._identity, event.hash)
        self._events += 1

    def write(self, views: Views, aside: Aside) -> None:
        """Unless little has happened since the last one, or a view lacks an event that was set aside."""
        is_writing = self._writing is not None and not self._writing.done()
        is_worth_it = self._events >= WORTH_A_SNAPSHOT + len(views.by_id) // 4
        if self._snapshot is not None and is_worth_it and aside.is_empty and not is_writing:
            self._events = 0
            self._writing = asyncio.ensure_future(self._snapshot.write(Kept.of(views), self._newest))

    def stop(self) -> None:
        if self._writing is not None:
            self._writing.cancel()


async def _take_again(
    log: EventLog,
    views: Views,
    aside: Aside,
    is_caught_up: asyncio.Event,
    tell: Callable[[DeploymentView | None, Recorded], None],
) -> None:
    """What was set aside, from all that the log says of it, when its time has come. Never returns."""
    while True:
        await asyncio.sleep(RETRY_INTERVAL_S)
        await is_caught_up.wait()
        try:
            for deployment_id in aside.due():
                with aside.attempt(deployment_id):
                    loaded = await log.load(select(aggregate_id=deployment_id))
                    for view, last in views.take_again(loaded.events):
                        tell(view, last)
        except LogUnavailable:
            continue
