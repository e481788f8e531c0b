"""The event log in memory: the same contract without a broker, for unit tests and trials."""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime

from libs.common.clock import Clock, utc_now
from libs.common.errors import AppendConflict, LogImporting
from libs.common.events.envelope import Cause, Draft, Position, Recorded
from libs.common.ids import new_id
from libs.common.log import wire
from libs.common.log.filters import covers, matches_any
from libs.common.log.port import Appended, CaughtUp, Guard, Head, Heads, Importing, Loaded, Stored
from libs.common.log.sealing import Sealed, appended, check_restorable, seal
from libs.common.log.timeline import Timeline
from libs.common.log.unread import Unread


class MemoryLog:
    """An `EventLog` and `Archive`; its sequences and times are those of a fresh stream."""

    def __init__(self, clock: Clock = utc_now, *, source: str = "specstream/memory") -> None:
        self._clock = clock
        self._source = source
        self._events: list[Stored] = []
        self._by_id: dict[str, Stored] = {}
        self._ends: dict[str, int] = {}
        self._import_until = 0
        self._identity = new_id()
        self._grown = asyncio.Condition()
        self._unread = Unread()

    def as_of(self, sequence: int) -> "MemoryLog":
        """What a backup that was made then brings back: the same log without what came later."""
        restored = MemoryLog(self._clock, source=self._source)
        restored._identity, restored._import_until = self._identity, self._import_until
        for event in self._events[:sequence]:
            restored._add(event)
        return restored

    async def identity(self) -> str:
        return self._identity

    async def has(self, position: Position) -> bool:
        if position.log not in ("", self._identity):
            return False
        if not 0 < position.sequence <= len(self._events):
            return position.sequence == 0
        event = self._events[position.sequence - 1]
        return position.hash in ("", event.headers.get(wire.HASH))

    async def load(self, *filters: str, until: int | None = None) -> Loaded:
        self._refuse_part()
        newest = [self._recorded(event) for event in self._newest(filters, until)]
        return Loaded.with_hidden(newest, self._hidden(newest))

    async def subjects(self, one_filter: str) -> set[str]:
        self._refuse_part()
        return {event.subject for event in self._events if covers(one_filter, event.subject)}

    async def append(
        self, drafts: Sequence[Draft], *, heads: Heads, cause: Cause, guards: Sequence[Guard] = ()
    ) -> Appended:
        now = self._clock()
        sealed = seal(
            drafts, heads=heads, guards=guards, cause=cause, source=self._source, now=now, fresh_id=new_id
        )
        # A real log answers later: let others run here as they would there.
        await asyncio.sleep(0)
        self._refuse_part()
        stored = [self._by_id.get(event.event_id) for event in sealed]
        if all(one and one.subject == event.subject for one, event in zip(stored, sealed, strict=True)):
            return appended(sealed, [Head(one.sequence, one.headers[wire.HASH]) for one in stored if one])
        self._check([event.guard for event in sealed if event.guard])
        for event, one in zip(sealed, stored, strict=True):
            if one:
                raise ValueError(f"event id {event.event_id} is taken by {one.subject}")
        places = [self._store(event, now) for event in sealed]
        async with self._grown:
            self._grown.notify_all()
        return appended(sealed, places)

    async def read(self, *filters: str, after: int = 0, until: int | None = None) -> AsyncIterator[Recorded]:
        if await self.importing():
            return
        for event in self._events[after : len(self._events) if until is None else until]:
            if matches_any(filters, event.subject):
                yield self._recorded(event)

    async def follow(
        self, *filters: str, after: int | None = None
    ) -> AsyncIterator[Recorded | CaughtUp | Importing]:
        given = after
        while True:
            while importing := await self.importing():
                yield importing
                await self._longer_than(importing.sequence)
            last = len(self._events)
            for event in self._newest(filters) if given is None else self._events[given:last]:
                if matches_any(filters, event.subject):
                    yield self._recorded(event)
            given = max(last, given or 0)
            yield CaughtUp(given)
            await self._longer_than(given)
            while given >= self._import_until:
                for event in self._events[given:]:
                    given = event.sequence
                    if matches_any(filters, event.subject):
                        yield self._recorded(event)
                await self._longer_than(given)
            yield Importing(min(len(self._events), self._import_until), self._import_until)
            given = after

    async def last_sequence(self) -> int:
        return len(self._events)

    async def sequence_at(self, moment: datetime, *, timeline: Timeline | None = None) -> int:
        if await self.importing():
            return 0
        times = timeline or Timeline()
        sequence = bisect_right(self._events, moment, key=lambda event: times.at(event.sequence, event.time))
        if sequence == 0:
            return 0
        return wire.whole_up_to(sequence, self._events[sequence - 1].headers)

    async def read_raw(self, *, after: int = 0, until: int | None = None) -> AsyncIterator[Stored]:
        for event in self._events[after : len(self._events) if until is None else until]:
            yield event

    async def importing(self) -> Importing | None:
        last = len(self._events)
        return Importing(last, self._import_until) if 0 < last < self._import_until else None

    async def restore(self, events: Sequence[Stored], *, until: int) -> None:
        check_restorable(events)
        if events[0].sequence != len(self._events) + 1:
            raise AppendConflict(f"the log ends at {len(self._events)}, not at {events[0].sequence - 1}")
        self._import_until = until
        for event in events:
            self._add(event)
        async with self._grown:
            self._grown.notify_all()

    def _refuse_part(self) -> None:
        last = len(self._events)
        if 0 < last < self._import_until:
            raise LogImporting(last, self._import_until)

    async def _longer_than(self, sequence: int) -> None:
        async with self._grown:
            await self._grown.wait_for(lambda: len(self._events) > sequence)

    def _recorded(self, event: Stored) -> Recorded:
        return self._unread.note(_read(event))

    def _newest(self, filters: Sequence[str], until: int | None = None) -> list[Stored]:
        events = self._events if until is None else self._events[: max(until, 0)]
        newest = {event.subject: event for event in events if matches_any(filters, event.subject)}
        return sorted(newest.values(), key=lambda event: event.sequence)

    def _hidden(self, newest: Sequence[Recorded]) -> Iterator[Recorded]:
        for hiding in newest:
            if hiding.fact is None:
                before = (e for e in self._events[: hiding.sequence - 1] if e.subject == hiding.subject)
                yield from deque((event for event in map(_read, before) if event.fact is not None), maxlen=1)

    def _check(self, guards: Sequence[Guard]) -> None:
        for guard in guards:
            if self._end(guard.filter) != guard.sequence:
                raise AppendConflict(f"{guard.filter} has moved on from {guard.sequence}")

    def _end(self, guarded: str) -> int:
        """The sequence of the newest event that a guard's filter selects."""
        is_whole_aggregate = guarded.endswith(".>") and guarded.count(".") == 4 and "*" not in guarded
        if is_whole_aggregate:
            return self._ends.get(guarded, 0)
        matching = (event.sequence for event in reversed(self._events) if covers(guarded, event.subject))
        return next(matching, 0)

    def _store(self, event: Sealed, now: datetime) -> Head:
        self._add(Stored(len(self._events) + 1, now, event.subject, event.headers, event.data))
        return Head(len(self._events), event.hash)

    def _add(self, event: Stored) -> None:
        self._events.append(event)
        self._by_id[event.headers.get(wire.ID, "")] = event
        self._ends[wire.aggregate_of(event.subject).filter] = event.sequence


def _read(event: Stored) -> Recorded:
    return wire.to_recorded(event.sequence, event.time, event.subject, event.headers, event.data)
