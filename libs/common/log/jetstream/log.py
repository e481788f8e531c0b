"""The event log's adapter on a JetStream stream that `provision` has made."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import structlog
from nats.aio.client import Client

from libs.common.clock import Clock, Ticks, monotonic, utc_now
from libs.common.errors import LogImporting, LogUnavailable
from libs.common.events.envelope import Cause, Draft, Position, Recorded, select
from libs.common.ids import new_id
from libs.common.log import wire
from libs.common.log.filters import ALL, covers, disjoint, matches_any
from libs.common.log.jetstream.append import Appender
from libs.common.log.jetstream.direct_get import DirectGet, TooManySubjects
from libs.common.log.jetstream.found import Found
from libs.common.log.jetstream.hidden import Hidden
from libs.common.log.jetstream.link import Link
from libs.common.log.jetstream.measured import Appends
from libs.common.log.jetstream.name_pool import ConsumerNames
from libs.common.log.jetstream.standing import Standing
from libs.common.log.jetstream.stuck import Stuck
from libs.common.log.jetstream.tail import ConsumerLost, Tail
from libs.common.log.jetstream.waiting import Waiting
from libs.common.log.port import Appended, CaughtUp, Guard, Heads, Importing, Loaded, Stored
from libs.common.log.sealing import appended, check_restorable, seal
from libs.common.log.timeline import Timeline
from libs.common.log.unread import Tell, Unread, tell_nobody
from libs.common.turns import Turns

logger = structlog.get_logger()

STREAM = "EVENTS"

_IMPORT_PAUSE_S = 0.1

_PAGE = 100
"""Events that are asked for at once: what is not asked for takes no memory here, and to take in what comes at
once holds up the loop, 4 ms for so many. A consumer instead, which is an object on the broker, brings up to
32 MiB before it waits, and is no faster."""


class JetStreamLog:
    """An `EventLog` and `Archive` over a connected client, which it shares and never closes.

    source: the `ce-source` of its events, `specstream/<service>`.
    deadline_s: how long an unknown outcome is cleared up, and a read tried, before LogUnavailable.
    attempt_s: how long one answer is waited for.
    consumers: the names that the broker lets it give its consumers; None where any will do.
    on_stuck: is told when the log cannot be followed for some seconds, and when it can be again.
    on_unread: is told what is read and not understood.
    """

    def __init__(
        self,
        client: Client,
        *,
        source: str,
        deadline_s: float = 30.0,
        attempt_s: float = 2.0,
        consumers: Sequence[str] | None = None,
        on_stuck: Tell = tell_nobody,
        on_unread: Tell = tell_nobody,
        clock: Clock = utc_now,
        ticks: Ticks = monotonic,
    ) -> None:
        self._link = Link(client, ticks=ticks)
        self._source = source
        self._appends = Appends(source)
        self._deadline_s = deadline_s
        self._clock = clock
        self._unread = Unread(on_unread)
        self._names = ConsumerNames(consumers)
        self._stuck = Stuck(on_stuck, ticks)
        self._waiting = Waiting(source)
        self._direct = DirectGet(self._link, STREAM, deadline_s=deadline_s, attempt_s=attempt_s)
        self._hidden = Hidden(self._direct)
        self._standing = Standing(
            self._link, self._direct, STREAM, deadline_s=deadline_s, attempt_s=attempt_s
        )
        self._appender = Appender(
            self._link, self._direct, self._standing, deadline_s=deadline_s, attempt_s=attempt_s
        )

    async def identity(self) -> str:
        return await self._standing.identity()

    async def has(self, position: Position) -> bool:
        return await self._standing.has(position)

    async def importing(self) -> Importing | None:
        return await self._standing.importing()

    async def append(
        self, drafts: Sequence[Draft], *, heads: Heads, cause: Cause, guards: Sequence[Guard] = ()
    ) -> Appended:
        sealed = seal(
            drafts,
            heads=heads,
            guards=guards,
            cause=cause,
            source=self._source,
            now=self._clock(),
            fresh_id=new_id,
        )
        with self._appends.measured():
            result = appended(sealed, await self._appender.append(sealed))
        self._standing.saw(result.sequence, sealed[-1].hash)
        return result

    async def load(self, *filters: str, until: int | None = None) -> Loaded:
        try:
            if until is None:
                found = await self._direct.newest(filters)
            else:
                found = await self._direct.newest_until(filters, until)
        except TooManySubjects:
            found = await (
                self._load_many(filters) if until is None else self._load_many_until(filters, until)
            )
        # Afterwards: what was read of an empty log may be the first part of an import that began meanwhile.
        await self._standing.check()
        for one in found[-1:]:
            self._standing.saw(one.sequence, one.headers.get(wire.HASH, ""))
        events = [self._recorded(one) for one in found]
        return Loaded.with_hidden(events, await self._hidden.among(events))

    async def subjects(self, one_filter: str) -> set[str]:
        await self._standing.check()
        return await self._standing.subjects(one_filter)

    async def read(self, *filters: str, after: int = 0, until: int | None = None) -> AsyncIterator[Recorded]:
        last = await self.last_sequence() if until is None else until
        try:
            if not await self._standing.check():
                return
        except LogImporting:
            return
        async for page in self._scan(filters, after=after, until=last):
            for found in page:
                yield self._recorded(found)

    async def read_raw(self, *, after: int = 0, until: int | None = None) -> AsyncIterator[Stored]:
        end = await self.last_sequence()
        turns = Turns()
        async for page in self._scan((ALL,), after=after, until=end if until is None else min(until, end)):
            for found in page:
                yield wire.to_stored(*found)
                await turns.give()

    async def follow(
        self, *filters: str, after: int | None = None
    ) -> AsyncIterator[Recorded | CaughtUp | Importing]:
        follower = object()
        self._waiting.begins(follower)
        narrow = _narrow(filters)
        given = after
        target: int | None = None
        is_caught_up = False
        try:
            while True:
                try:
                    await self._standing.check()
                    if target is None:
                        target = max(await self.last_sequence(), after or 0)
                    # To make a consumer with several filters the broker goes over all subjects, 0.2 to 0.8 s
                    # with 850,000. What comes after an event is not much, and is matched here.
                    asked = narrow if given is None or len(narrow) == 1 else (ALL,)
                    is_exact = _is_everything(filters) or all(one in filters for one in asked)
                    async with Tail(self._link, STREAM, asked, after=given, names=self._names) as tail:
                        self._stuck.goes_on(follower)
                        self._waiting.has(follower, tail)
                        if not is_caught_up and tail.pending == 0:
                            is_caught_up = True
                            yield CaughtUp(max(target, given or 0))
                        while True:
                            for found, _, pending in await tail.next():
                                if is_caught_up:
                                    _stop_at_import(found)
                                given = found.sequence
                                self._standing.saw(given, found.headers.get(wire.HASH, ""))
                                if is_exact or matches_any(filters, found.subject):
                                    yield self._recorded(found)
                                if not is_caught_up and (pending == 0 or given >= target):
                                    is_caught_up = True
                                    yield CaughtUp(max(target, given))
                except LogImporting as importing:
                    # What was followed until now is an empty log; it is followed anew once the import is
                    # whole.
                    yield Importing(importing.sequence, importing.events)
                    given, target, is_caught_up = after, None, False
                    await asyncio.sleep(_IMPORT_PAUSE_S)
                except (ConsumerLost, LogUnavailable) as lost:
                    if self._link.client.is_closed:
                        raise LogUnavailable("the connection to the broker is closed") from lost
                    logger.info("follower lost its consumer", after=given, reason=str(lost))
                    self._stuck.failed(follower, str(lost))
                    self._waiting.has(follower, None)
                    await asyncio.sleep(random.uniform(0.05, 0.25))  # noqa: S311 - spreads the returning followers
        finally:
            self._stuck.goes_on(follower)
            self._waiting.ends(follower)

    async def last_sequence(self) -> int:
        await self._standing.identity()
        newest = await self._direct.from_leader({"last_by_subj": ALL})
        return newest.sequence if newest else 0

    async def sequence_at(self, moment: datetime, *, timeline: Timeline | None = None) -> int:
        if await self.importing():
            return 0
        times = timeline or Timeline()
        first_after = await self.last_sequence() + 1
        at_or_before: Stored | None = None
        low = 1
        while low < first_after:
            middle = (low + first_after) // 2
            event = await self._stored(middle)
            if times.at(event.sequence, event.time) <= moment:
                low, at_or_before = middle + 1, event
            else:
                first_after = middle
        if at_or_before is None:
            return 0
        return wire.whole_up_to(at_or_before.sequence, at_or_before.headers)

    async def restore(self, events: Sequence[Stored], *, until: int) -> None:
        check_restorable(events)
        await self._appender.restore(events, until=until)

    def _recorded(self, found: Found) -> Recorded:
        return self._unread.note(wire.to_recorded(*found))

    async def _stored(self, sequence: int) -> Stored:
        found = await self._direct.at(sequence) or await self._direct.from_leader({"seq": sequence})
        if found is None:
            raise LogUnavailable(f"the log has no event {sequence}")
        return wire.to_stored(*found)

    async def _load_many(self, filters: tuple[str, ...]) -> list[Found]:
        """As many subjects as there are: by a consumer, which knows no limit."""
        narrow = _narrow(filters)
        target = await self.last_sequence()
        until = self._link.ticks() + self._deadline_s
        while True:
            newest: dict[str, Found] = {}
            try:
                async with Tail(self._link, STREAM, narrow, after=None, names=self._names) as tail:
                    is_whole = tail.pending == 0
                    while not is_whole:
                        for found, _, pending in await tail.next():
                            if matches_any(filters, found.subject):
                                newest[found.subject] = found
                            is_whole = is_whole or pending == 0 or found.sequence >= target
                return sorted(newest.values())
            except ConsumerLost as lost:
                await self._retry(lost, until)

    async def _load_many_until(self, filters: tuple[str, ...], until: int) -> list[Found]:
        """By all events up to there: no consumer gives the newest of each subject of an earlier moment."""
        newest: dict[str, Found] = {}
        async for page in self._scan(filters, after=0, until=until):
            newest |= {found.subject: found for found in page}
        return sorted(newest.values())

    async def _scan(
        self, filters: tuple[str, ...], *, after: int, until: int | None
    ) -> AsyncIterator[list[Found]]:
        """The events of a range in pages, none empty."""
        last = await self.last_sequence() if until is None else until
        if len(filters) == 1:
            async for found in self._pages(_narrow(filters)[0], after, last):
                yield found
            return
        narrow = _narrow(filters)
        deadline = self._link.ticks() + self._deadline_s
        while after < last:
            try:
                async with Tail(self._link, STREAM, narrow, after=after, names=self._names) as tail:
                    is_over = tail.pending == 0
                    while not is_over:
                        deliveries = await tail.next()
                        after = deliveries[-1].found.sequence
                        is_over = after >= last or deliveries[-1].pending == 0
                        found = [
                            one.found
                            for one in deliveries
                            if one.found.sequence <= last and matches_any(filters, one.found.subject)
                        ]
                        if found:
                            yield found
                return
            except ConsumerLost as lost:
                await self._retry(lost, deadline)

    async def _pages(self, one_filter: str, after: int, last: int) -> AsyncIterator[list[Found]]:
        """Each is asked for when the one before it is used up."""
        deadline = self._link.ticks() + self._deadline_s
        while after < last:
            page = await self._direct.after(one_filter, after, at_most=min(_PAGE, last - after))
            if found := [one for one in page.found if one.sequence <= last]:
                yield found
            if page.found:
                after = page.found[-1].sequence
                deadline = self._link.ticks() + self._deadline_s
            if page.pending == 0 or not page.found:
                if one_filter != ALL or after >= last:
                    return
                # A server of a cluster may be a little behind: there is more.
                await self._retry(ConsumerLost(f"event {after + 1} is not there"), deadline)

    async def _retry(self, lost: ConsumerLost, until: float) -> None:
        if self._link.ticks() >= until:
            raise LogUnavailable(f"the log could not be read: {lost}") from lost
        await self._link.connected(until=until)
        await asyncio.sleep(0.05)


def _narrow(filters: Sequence[str]) -> tuple[str, ...]:
    """As the broker is given them. For those that select every event there is one of which it tells at once
    how many wait; with any other it walks over all subjects that there ever were, for each answer."""
    return (ALL,) if _is_everything(filters) else disjoint(filters)


def _is_everything(filters: Sequence[str]) -> bool:
    return any(covers(one, select()) for one in filters)


def _stop_at_import(found: Found) -> None:
    """An import that comes as news is no news: it is the beginning of the log. Raises LogImporting."""
    if until := wire.import_until(found.headers):
        raise LogImporting(found.sequence, until)
