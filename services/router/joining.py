"""Saying in the log which routers there are: their replicas wait for the word of each."""

import asyncio
from typing import Final

import structlog

from libs.common.errors import AppendConflict, LogUnavailable
from libs.common.events.envelope import Cause, Draft
from libs.common.events.router import LeaveReason, RouterFact, RouterJoined, RouterLeft
from libs.common.log.port import EventLog
from libs.common.runtime import Progress
from libs.common.state.router import aggregate_of, joined_by
from services.router.follower import Follower

logger = structlog.get_logger()

ACTOR: Final = "service:router"
RETRY_S: Final = 0.25


async def join(log: EventLog, follower: Follower, router: str) -> None:
    """Returns when the log says that this router has joined, and the follower knows all that came before.

    From then on no replica is stopped before this router has withdrawn it, and what was told to leave before
    is known to leave: so its Envoy may be told where to send requests. The first router has always joined.
    """
    await follower.caught_up.wait()
    while not follower.has_joined(router):
        await _say(log, follower, router, RouterJoined())
        await follower.hears_that_it_joined(router)


async def tell_if_taken_out(follower: Follower, progress: Progress, router: str) -> None:
    """A router that goes on though it was taken out has nobody who waits for its word. Never returns."""
    while True:
        await follower.routers_changed.wait()
        follower.routers_changed.clear()
        if not follower.has_joined(router):
            progress.is_ready = False
            progress.problem = f"{router} was taken out and still runs: calls by its Envoy may be lost"
            logger.error("taken out and still running", router=router)


async def take_out_others(log: EventLog, follower: Follower, routers: frozenset[str]) -> None:
    """Says of every router that is none of these that it has left. Never returns.

    For the first router alone. Whoever starts it with fewer routers than before has ended the others, with
    their Envoys, before.
    """
    while True:
        await follower.routers_changed.wait()
        follower.routers_changed.clear()
        for router in sorted(follower.joined - routers):
            await _say(log, follower, router, RouterLeft(reason=LeaveReason.TAKEN_OUT))
            logger.warning("a router was taken out", router=router)


async def _say(log: EventLog, follower: Follower, router: str, fact: RouterFact) -> None:
    """Unless the log says so already. Tries until the log answers."""
    aggregate = aggregate_of(router)
    wants = isinstance(fact, RouterJoined)
    while True:
        try:
            # A copy of the log that is behind what is known here would not do.
            loaded = await log.load(aggregate.filter, until=follower.views.sequence or None)
            if (router in joined_by(loaded.events)) is wants:
                return
            cause = Cause(actor=ACTOR, correlation_id=router)
            await log.append([Draft(aggregate, fact)], heads=loaded.heads, cause=cause)
        except (AppendConflict, LogUnavailable) as error:
            logger.info("what routers there are has to wait", error=str(error))
            await asyncio.sleep(RETRY_S)
        else:
            logger.info("routers changed", router=router, fact=fact.event_type())
            return
