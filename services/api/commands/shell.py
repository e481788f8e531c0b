"""Load, decide, append: and again, when somebody else appended first."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

import structlog

from libs.common.errors import AppendConflict, Temporary
from libs.common.events.envelope import Cause
from libs.common.log.port import EventLog
from services.api.commands.decision import Decision
from services.api.commands.loading import Snapshot
from services.api.commands.visible import Visible

logger = structlog.get_logger()

S = TypeVar("S")
T = TypeVar("T")

MAX_ATTEMPTS = 60
"""Each lost race is somebody's success, so this many in a row is a storm, not bad luck."""

MAX_PAUSE_S = 0.05


class Busy(Temporary):
    """Others kept appending first. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Earlier(Generic[T]):
    """Where the same command may have been carried out before."""

    find: Callable[[], Awaitable[T | None]]
    """Finds what that attempt did; None for nothing."""
    is_possible: bool
    """Whether there may have been one before this attempt has lost a race, which may be one with itself."""


@dataclass(slots=True)
class CommandShell:
    """Carries out commands. One at a time for each `key`, so that a stampede on one name does not collide
    with itself; what other processes do is met by the guards."""

    log: EventLog
    visible: Visible
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def run(
        self,
        load: Callable[[], Awaitable[Snapshot[S]]],
        decide: Callable[[S], Decision[T]],
        *,
        key: str,
        cause: Cause,
        earlier: Earlier[T] | None = None,
    ) -> T:
        """The answer, once the change is durable and reads show it.

        earlier: of a command of another system. Its answer waits for no read: that the change is durable is
        all that it asks for, and the next command waits for this one.

        Raises Refused as `decide` does, Busy, LogUnavailable when the outcome is unknown.
        """
        async with self._one_at_a_time(key):
            answer, sequence = await self._attempt(load, decide, cause, earlier)
        if earlier is None:
            await self.visible.wait_for(sequence)
        return answer

    async def _attempt(
        self,
        load: Callable[[], Awaitable[Snapshot[S]]],
        decide: Callable[[S], Decision[T]],
        cause: Cause,
        earlier: Earlier[T] | None,
    ) -> tuple[T, int]:
        """The answer, and the sequence at which it is true."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            snapshot = await load()
            # After the load: what is appended between them the guards notice.
            if earlier is not None and (earlier.is_possible or attempt > 1):
                found = await earlier.find()
                if found is not None:
                    return found, snapshot.sequence
            try:
                self.visible.admit()
                decision = decide(snapshot.state)
                if not decision.drafts:
                    return decision.answer, snapshot.sequence
                appended = await self.log.append(
                    decision.drafts, heads=snapshot.heads, cause=cause, guards=decision.guards
                )
            except AppendConflict as conflict:
                logger.debug("lost a race", attempt=attempt, conflict=str(conflict))
                await asyncio.sleep(MAX_PAUSE_S * min(attempt, 10) / 10 * random.random())  # noqa: S311 - jitter
                continue
            logger.info(
                "appended",
                sequence=appended.sequence,
                types=[draft.fact.event_type() for draft in decision.drafts],
                correlation_id=cause.correlation_id,
                causation_id=cause.causation_id,
            )
            return decision.answer, appended.sequence
        raise Busy("others keep changing the same thing; try again")

    @asynccontextmanager
    async def _one_at_a_time(self, name: str) -> AsyncIterator[None]:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        async with lock:
            yield
