"""Whether the log is whole: chains, gaps, ids, and that it does not end before what was seen of it. Pure."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from libs.common.events.envelope import GENESIS, Aggregate, chain_hash, parse_subject
from libs.common.log import wire
from libs.common.log.port import Stored


@dataclass(frozen=True, slots=True)
class LogHead:
    """The log up to `sequence` in one line: the number of its events and a digest over all chain hashes.

    Kept outside the log it is evidence: nobody can change an event below it unnoticed.
    """

    sequence: int
    events: int
    digest: str

    def to_wire(self) -> dict[str, Any]:
        return {"sequence": self.sequence, "events": self.events, "digest": self.digest}


@dataclass(frozen=True, slots=True)
class Verified:
    """All of it holds. head: where it ends."""

    events: int
    aggregates: int
    head: LogHead

    def __str__(self) -> str:
        return f"{self.events} events, {self.aggregates} aggregates verified"


@dataclass(frozen=True, slots=True)
class Corrupt:
    """The first thing that does not hold. sequence: of the event where it shows."""

    sequence: int
    reason: str

    def __str__(self) -> str:
        return f"sequence {self.sequence}: {self.reason}"


async def verify(
    events: AsyncIterator[Stored], *, at_least: int = 0, head: LogHead | None = None
) -> Verified | Corrupt:
    """Check a whole log from its first event, with `Archive.read_raw()`.

    at_least: a sequence that somebody has seen, such as a projection's checkpoint: the log must reach it.
    head: that of the last export: the log must reach it, and be the same up to it.
    """
    check = Check()
    async for event in events:
        if reason := check.add(event):
            return Corrupt(event.sequence, reason)
        if head is not None and event.sequence == head.sequence and check.head != head:
            return Corrupt(event.sequence, "the log up to here is not the one that was exported")
    for name, sequence in (("the checkpoint", at_least), ("the last export", head.sequence if head else 0)):
        if check.sequence < sequence:
            return Corrupt(check.sequence, f"the log ends here, before {name} at {sequence}")
    return Verified(check.events, check.aggregates, check.head)


@dataclass(slots=True)
class Check:
    """Takes the events of a log one after the other; about 200 bytes of memory for each."""

    sequence: int = 0
    events: int = 0
    _hashes: dict[Aggregate, str] = field(default_factory=dict)
    _ids: set[str] = field(default_factory=set)
    _digest: Any = field(default_factory=hashlib.sha256)

    @property
    def aggregates(self) -> int:
        return len(self._hashes)

    @property
    def head(self) -> LogHead:
        return LogHead(self.sequence, self.events, self._digest.hexdigest())

    def add(self, event: Stored) -> str | None:
        """What is wrong with the next event; None when nothing is."""
        if event.sequence != self.sequence + 1:
            return f"follows {self.sequence}: events in between are missing"
        try:
            aggregate, event_type = parse_subject(event.subject)
        except ValueError:
            return f"{event.subject} is not the subject of an event"
        headers = event.headers
        event_id = headers.get(wire.ID, "")
        said = headers.get(wire.MESSAGE_ID), headers.get(wire.TYPE), headers.get(wire.SUBJECT)
        if said != (event_id, event_type, aggregate.id):
            return "its headers contradict its subject or its id"
        if not event_id or event_id in self._ids:
            return f"its id {event_id!r} is not its own"
        previous = self._hashes.get(aggregate, GENESIS)
        chained = chain_hash(previous, event.subject, event_id, event_type, event.data)
        if headers.get(wire.HASH) != chained:
            return "its hash does not follow from its content and the event before it"
        self._hashes[aggregate] = chained
        self._ids.add(event_id)
        self.count(event)
        return None

    def count(self, event: Stored) -> None:
        """Take an event into the head without checking it."""
        self._digest.update(event.headers.get(wire.HASH, "").encode())
        self.sequence = event.sequence
        self.events += 1
