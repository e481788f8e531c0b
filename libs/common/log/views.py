"""Following the log into `DeploymentViews`: how a service that holds no durable keeps up with everything."""

import asyncio
from collections.abc import Callable
from typing import Final

from libs.common.errors import LogUnavailable
from libs.common.events.envelope import Recorded, select
from libs.common.log.port import CaughtUp, EventLog, Importing
from libs.common.set_aside import Aside
from libs.common.state.view import DeploymentView, DeploymentViews, fold

VIEW_KINDS: Final = ("deployment", "rollout", "replica", "traffic")
VIEW_FILTERS: Final = tuple(select(kind=kind) for kind in VIEW_KINDS)
"""Selects the events of every aggregate that a `DeploymentView` is folded from."""


OnChange = Callable[[DeploymentView, Recorded], None]

RETRY_INTERVAL_S: Final = 0.25


async def follow_views(
    log: EventLog,
    views: DeploymentViews,
    aside: Aside,
    *,
    on_caught_up: Callable[[int], None],
    on_change: OnChange,
    on_importing: Callable[[Importing | None], None],
) -> None:
    """Rebuild `views` by last-per-subject, then keep it up; never returns.

    on_caught_up: called with the sequence up to which `views` is complete; the caller then goes over
    all views itself. Called once, and again when an import has filled the log.
    on_importing: called with how far an import is; with None when all of it is in `views`. Nothing may be
    decided meanwhile. on_change: called once caught up for each event, with the view as it is after it; a
    deployment that is gone is given once more, and is in `views` no longer.
    A deployment whose event cannot be taken in is set aside in `aside`, keeps the view that it had, and is
    read from the log again later; all others go on.
    Raises what `EventLog.follow` raises.
    """
    is_caught_up = asyncio.Event()
    retrying = asyncio.ensure_future(_take_again(log, views, aside, is_caught_up, on_change))
    try:
        async for item in log.follow(*VIEW_FILTERS):
            if isinstance(item, Importing):
                is_caught_up.clear()
                on_importing(item)
                continue
            views.sequence = max(views.sequence, item.sequence)
            if isinstance(item, CaughtUp):
                on_importing(None)
                on_caught_up(item.sequence)
                is_caught_up.set()
            elif item.aggregate.id in aside:
                # An event before this one is missing in its view: all of them have to be read again.
                aside.hurry(item.aggregate.id)
            else:
                with aside.attempt(item.aggregate.id):
                    view = views.apply(item)
                    if is_caught_up.is_set():
                        on_change(view, item)
    finally:
        retrying.cancel()


async def _take_again(
    log: EventLog, views: DeploymentViews, aside: Aside, is_caught_up: asyncio.Event, on_change: OnChange
) -> None:
    """What was set aside, from all that the log says of it, when its time has come. Never returns."""
    while True:
        await asyncio.sleep(RETRY_INTERVAL_S)
        await is_caught_up.wait()
        try:
            for deployment_id in aside.due():
                with aside.attempt(deployment_id):
                    loaded = await log.load(select(aggregate_id=deployment_id))
                    view = fold(e for e in loaded.events if e.aggregate.kind in VIEW_KINDS)
                    if view is not None and view.last is not None:
                        on_change(views.put(view), view.last)
        except LogUnavailable:
            continue
