"""Whether the log is whole: chains, gaps, ids, and that it does not end before what was seen of it.

What that promises: a change of any stored event, in any part that its hash covers, a missing event and an
added one are found; not found without a head kept elsewhere is that somebody has rewritten the log to its end
and computed all hashes anew.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from libs.common.events.envelope import GENESIS
from libs.common.log import chain, wire
from libs.common.log.head import VERSION, LogHead, RunningHead
from libs.common.log.ledger import Ledger
from libs.common.log.port import Stored


@dataclass(frozen=True, slots=True)
class Verified:
    """All of it holds. head: where it ends.

    unread: what of it this version does not understand, in a sentence; empty where it understands all, or
    nobody has looked.
    """

    events: int
    aggregates: int
    head: LogHead
    unread: str = ""

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
    events: AsyncIterator[Stored],
    *,
    at_least: int = 0,
    head: LogHead | None = None,
    folder: Path | None = None,
) -> Verified | Corrupt:
    """Check a whole log from its first event, with `Archive.read_raw()`. The arguments are those of
    `Verification`."""
    with Ledger(folder) as ledger:
        verification = Verification(ledger, head)
        async for event in events:
            if corrupt := verification.take([event]):
                return corrupt
        return verification.end(at_least=at_least)


class Verification:
    """Takes a whole log from its first event, as much of it at a time as one likes.

    head: that of an export: the log must reach it, and be the same up to it.
    """

    def __init__(self, ledger: Ledger, head: LogHead | None = None) -> None:
        self._ledger = ledger
        self._head = head
        self._check = Check(ledger)

    @property
    def sequence(self) -> int:
        """Of the last event taken."""
        return self._check.sequence

    def take(self, events: Iterable[Stored]) -> Corrupt | None:
        """The next events. The first thing that does not hold; nothing is taken after it."""
        for event in events:
            if reason := self._check.add(event):
                return Corrupt(event.sequence, reason)
            head = self._head
            is_there = head is not None and event.sequence == head.sequence
            if head is not None and is_there and self._check.head(head.version) != head:
                return Corrupt(event.sequence, "the log up to here is not the one that was exported")
        return None

    def end(self, *, at_least: int = 0) -> Verified | Corrupt:
        """What there is to say when no event follows.

        at_least: a sequence that somebody has seen, such as a projection's checkpoint: the log must reach it.
        """
        check = self._check
        exported = self._head.sequence if self._head else 0
        for name, seen in (("the checkpoint", at_least), ("the last export", exported)):
            if check.sequence < seen:
                return Corrupt(check.sequence, f"the log ends here, before {name} at {seen}")
        if stranger := check.strangers.first:
            return Corrupt(stranger[0], f"{stranger[1]}; {check.strangers}")
        return Verified(check.events, self._ledger.aggregates, check.head())


@dataclass(slots=True)
class Strangers:
    """Messages that lie in the log and are no events: no reader believes them, and no chain needs them.

    first: the sequence and what is wrong with it.
    """

    count: int = 0
    first: tuple[int, str] | None = None

    def add(self, sequence: int, reason: str) -> None:
        self.count += 1
        self.first = self.first or (sequence, reason)

    def __str__(self) -> str:
        return f"{self.count} such in all, which nobody takes for facts; everything else holds"


@dataclass(slots=True)
class Check:
    """Takes the events of a log one after the other; remembers them in a ledger, so in little memory.

    is_to_be_stored: whether they are about to be. Then strangers need ids of their own as well: the broker
    takes no two messages of one id.
    """

    ledger: Ledger
    is_to_be_stored: bool = False
    strangers: Strangers = field(default_factory=Strangers)
    _running: RunningHead = field(default_factory=RunningHead)

    @property
    def sequence(self) -> int:
        return self._running.sequence

    @property
    def events(self) -> int:
        return self._running.events

    def head(self, version: int = VERSION) -> LogHead:
        return self._running.head(version)

    def add(self, event: Stored) -> str | None:
        """What is wrong with the next event; None when nothing is, or when it is a stranger."""
        if event.sequence != self.sequence + 1:
            return f"follows {self.sequence}: events in between are missing"
        aggregate, event_type = wire.place_of(event.subject)
        headers = event.headers
        covered = chain.envelope(headers)
        if reason := wire.contradiction(aggregate, event_type, headers):
            self.strangers.add(event.sequence, reason)
            message_id = headers.get(wire.MESSAGE_ID)
            if self.is_to_be_stored and message_id and not self.ledger.is_new(message_id):
                return f"its id {message_id!r} is not its own"
        else:
            event_id = headers[wire.ID]
            if headers.get(wire.MESSAGE_ID) != event_id:
                return f"its headers contradict its id {event_id!r}"
            if not self.ledger.is_new(event_id):
                return f"its id {event_id!r} is not its own"
            previous = self.ledger.hash_of(aggregate.filter) or GENESIS
            if broken := chain.problem(previous, event.subject, headers, event.data, covered=covered):
                return broken
        # Who appends next builds on whatever lies there last, also on the hash that a stranger claims.
        self.ledger.set_hash(aggregate.filter, headers.get(wire.HASH, ""))
        self._running.take(event, covered=covered)
        return None
