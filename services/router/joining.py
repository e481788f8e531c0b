"""Saying in the log which routers there are: their replicas wait for the word of each."""

import asyncio
from typing import Final

import structlog

from libs.common.errors import AppendConflict, LogUnavailable
from libs.common.events.envelope import Cause, Draft
from libs.common.events.router import LeaveReason, RouterFact, RouterJoined, RouterLeft, RouterNamed
from libs.common.log.port import EventLog
from libs.common.runtime import Progress
from libs.common.state.router import RouterState, aggregate_of, state_of, states_by
from services.router.follower import Follower
from services.router.withdrawal import ACTOR

logger = structlog.get_logger()

RETRY_S: Final = 0.25


async def join(log: EventLog, follower: Follower, progress: Progress, router: str) -> None:
    """Returns when the log says that this router has joined, and the follower knows all that came before.

    From then on no replica is stopped before this router has withdrawn it, and what was told to leave before
    is known to leave: so its Envoy may be told where to send requests. The first router has always joined.
    One that is taken out at once, because the first router does not name it, says why it waits.
    """
    await follower.caught_up.wait()
    if not follower.has_joined(router):
        await follower.hears(await _say(log, follower, router, RouterJoined()))
    await _join_again(log, follower, progress, router)


async def stay_joined(log: EventLog, follower: Follower, progress: Progress, router: str) -> None:
    """For one that has joined. Taken out while it goes on it has nobody who waits for its word: it is not
    ready then, and joins again when the first router names it again. Never returns."""
    while True:
        await _join_again(log, follower, progress, router)
        progress.is_ready = True
        await follower.hears_of_routers()


async def _join_again(log: EventLog, follower: Follower, progress: Progress, router: str) -> None:
    """Unless it has joined. It does not say so by itself: whoever has taken it out would do it again, and
    again."""
    while not follower.has_joined(router):
        if not progress.problem:
            logger.error("taken out and still running", router=router)
        progress.is_ready = False
        progress.problem = f"{router} was taken out and still runs: calls by its Envoy may be lost"
        if follower.may_join(router):
            await _say(log, follower, router, RouterJoined())
        await follower.hears_of_routers()
    progress.problem = ""


async def say_who_is_named(log: EventLog, follower: Follower, routers: frozenset[str]) -> None:
    """Says of every router that is none of these that it has left, and of these that had left before that
    they may join. Never returns.

    For the first router alone. Whoever starts it with fewer routers than before has ended the others, with
    their Envoys, before.
    """
    while True:
        for router in sorted(follower.joined - routers):
            await _say(log, follower, router, RouterLeft(reason=LeaveReason.TAKEN_OUT))
            logger.warning("a router was taken out", router=router)
        for router in sorted(routers):
            if not follower.may_join(router):
                await _say(log, follower, router, RouterNamed())
        await follower.hears_of_routers()


async def _say(log: EventLog, follower: Follower, router: str, fact: RouterFact) -> int:
    """Unless the log says so already. Tries until the log answers. Returns the event that says so; 0 where
    nothing was ever said."""
    aggregate = aggregate_of(router)
    while True:
        try:
            # A copy of the log that is behind what is known here would not do.
            loaded = await log.load(aggregate.filter, until=follower.views.sequence or None)
            if _says_so(state_of(router, states_by(loaded.events)), fact):
                return loaded.sequence
            cause = Cause(actor=ACTOR, correlation_id=router)
            appended = await log.append([Draft(aggregate, fact)], heads=loaded.heads, cause=cause)
        except (AppendConflict, LogUnavailable) as error:
            logger.info("what routers there are has to wait", error=str(error))
            await asyncio.sleep(RETRY_S)
        else:
            logger.info("routers changed", router=router, fact=fact.event_type())
            return appended.sequence


def _says_so(state: RouterState, fact: RouterFact) -> bool:
    match fact:
        case RouterJoined():
            return state.is_joined
        case RouterNamed():
            return state.may_join
        case _:
            return not state.is_joined
