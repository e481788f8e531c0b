"""Following the log into `Views`: how a service that holds no durable keeps up with everything."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from libs.common.errors import LogImporting, LogUnavailable
from libs.common.events.envelope import Position, Recorded, select
from libs.common.log.living import read_living
from libs.common.log.port import CaughtUp, EventLog, Importing, Loaded
from libs.common.log.snapshots import Kept, Read, Snapshot
from libs.common.set_aside import Aside
from libs.common.state.view import DeploymentView, Views

logger = structlog.get_logger()

OnChange = Callable[[DeploymentView, Recorded], None]
OnApart = Callable[[Recorded], None]
OnCaughtUp = Callable[[int], Awaitable[None] | None]

RETRY_INTERVAL_S: Final = 0.25

WORTH_A_SNAPSHOT: Final = 1_000
"""Events since the last one, which are read again in a tenth of a second. With many views there have to be
more, a quarter of their number, since a snapshot writes all of them."""


async def follow_views(
    log: EventLog,
    views: Views,
    aside: Aside,
    *,
    on_caught_up: OnCaughtUp,
    on_change: OnChange,
    on_importing: Callable[[Importing | None], None],
    on_apart: OnApart = lambda _: None,
    snapshot: Snapshot | None = None,
) -> None:
    """Rebuild `views`, from the snapshot or by last-per-subject, then keep it up; never returns.

    snapshot: where views are kept over a restart; written when reading the log again would take longer.
    on_caught_up: called with the sequence up to which `views` is complete; the caller then goes over
    all views itself. Called once, and again when an import has filled the log. Where it is a coroutine, no
    event is taken in before that has ended.
    on_importing: called with how far an import is; with None when all of it is in `views`. Nothing may be
    decided meanwhile. on_change: called once caught up for each event of a deployment, with the view as it is
    after it; a deployment that is gone is given once more, and is in `views` no longer. on_apart: the same
    for each event of an aggregate that is no part of a deployment's view; `views.apart` has it already.
    What an event that cannot be taken in is about is set aside in `aside`, keeps the state that it had, also
    over a restart, and is read from the log again later; all others go on.
    Raises what `EventLog.follow` raises.
    """
    is_caught_up = asyncio.Event()

    def tell(view: DeploymentView | None, event: Recorded) -> None:
        if view is None:
            on_apart(event)
        else:
            on_change(view, event)

    again = _Again(log, views, aside)
    retrying = asyncio.ensure_future(again.run(is_caught_up, tell))
    kept = _Keeping(snapshot)
    hiding = set[str]()
    try:
        begin = await kept.read(again)
        async for item in log.follow(*views.filters, after=begin):
            if isinstance(item, Importing):
                hiding.clear()
                is_caught_up.clear()
                on_importing(item)
                continue
            views.sequence = max(views.sequence, item.sequence)
            if isinstance(item, CaughtUp):
                on_importing(None)
                await again.uncover(hiding, item.sequence)
                if (going_over := on_caught_up(item.sequence)) is not None:
                    await going_over
                is_caught_up.set()
                kept.write(views, aside)
                continue
            kept.took(item)
            if item.aggregate.id in aside:
                # An event before this one is missing in its view: all of them have to be read again.
                again.missed(item)
            else:
                with aside.attempt(item.aggregate.id):
                    view = views.apply(item)
                    if begin is None and not is_caught_up.is_set() and item.fact is None:
                        hiding.add(item.aggregate.id)
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

    async def read(self, again: "_Again") -> int | None:
        """Behind which sequence to follow; None from the beginning. A log that is away is waited for."""
        while self._snapshot is not None:
            try:
                self._identity = await again.log.identity()
                read = await self._snapshot.read(again.log, again.views)
                if read is None:
                    return await self._read_living(again)
                await again.complete(read)
            except LogImporting:
                again.views.clear()
                return None
            except LogUnavailable as error:
                logger.info("the snapshot has to wait for the log", error=str(error))
                again.views.clear()
                await asyncio.sleep(RETRY_INTERVAL_S)
                continue
            self._newest = read.position
            return read.position.sequence
        return None

    async def _read_living(self, again: "_Again") -> int | None:
        last = await read_living(again.log, again.views, again.aside)
        if last is not None:
            self._newest = Position(last, self._identity)
            self._events = WORTH_A_SNAPSHOT + len(again.views.by_id)
        return last

    def took(self, event: Recorded) -> None:
        self._newest = Position(event.sequence, self._identity, event.hash)
        self._events += 1

    def write(self, views: Views, aside: Aside) -> None:
        """Unless little has happened since the last one."""
        is_writing = self._writing is not None and not self._writing.done()
        is_worth_it = self._events >= WORTH_A_SNAPSHOT + len(views.by_id) // 4
        if self._snapshot is not None and is_worth_it and not is_writing:
            self._events = 0
            kept = Kept.of(views, aside.subjects)
            self._writing = asyncio.ensure_future(self._snapshot.write(kept, self._newest))

    def stop(self) -> None:
        if self._writing is not None:
            self._writing.cancel()


class _Again:
    """What was set aside, from all that the log says of it."""

    def __init__(self, log: EventLog, views: Views, aside: Aside) -> None:
        self.log = log
        self.views = views
        self.aside = aside
        self._newest: dict[str, int] = {}
        """Of what is set aside: the last event that came and is not in its view."""

    def missed(self, event: Recorded) -> None:
        """It came while what it is about was set aside."""
        self._newest[event.aggregate.id] = event.sequence
        self.aside.hurry(event.aggregate.id)

    async def complete(self, read: Read) -> None:
        """What lacks an event, up to where the others are. Raises LogUnavailable."""
        for deployment_id in read.lacking:
            with self.aside.attempt(deployment_id):
                loaded = await self.log.load(select(aggregate_id=deployment_id), until=read.position.sequence)
                for _ in self.views.take_again(loaded.events):
                    pass

    async def uncover(self, hiding: set[str], sequence: int) -> None:
        """Fold anew, up to there, what the newest events that are not understood are about: to begin with the
        newest of each subject is to miss those before them. A log that is away is waited for."""
        while hiding:
            try:
                await self.complete(Read(Position(sequence), tuple(sorted(hiding))))
                hiding.clear()
            except LogUnavailable as error:
                logger.info("the views have to wait for the log", error=str(error))
                await asyncio.sleep(RETRY_INTERVAL_S)

    async def run(
        self, is_caught_up: asyncio.Event, tell: Callable[[DeploymentView | None, Recorded], None]
    ) -> None:
        """Each when its time has come. Never returns."""
        while True:
            await self.aside.until_due()
            await is_caught_up.wait()
            with suppress(LogUnavailable):
                for deployment_id in self.aside.due():
                    with self.aside.attempt(deployment_id):
                        loaded = await self._load(deployment_id)
                        for view, last in self.views.take_again(loaded.events):
                            tell(view, last)
            await asyncio.sleep(RETRY_INTERVAL_S)

    async def _load(self, deployment_id: str) -> Loaded:
        """With all that came of it until the answer did; later ones are taken in as they come."""
        while True:
            loaded = await self.log.load(select(aggregate_id=deployment_id))
            if loaded.sequence >= self._newest.get(deployment_id, 0):
                self._newest.pop(deployment_id, None)
                return loaded
