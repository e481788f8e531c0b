"""The event log as its users see it. `jetstream/` and `memory.py` pass one contract suite."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

from libs.common.events.envelope import GENESIS, Aggregate, Cause, Draft, Position, Recorded
from libs.common.log.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Head:
    """The end of one aggregate's history: the sequence and the chain hash of its last event."""

    sequence: int = 0
    hash: str = GENESIS


Heads = Mapping[Aggregate, Head]
"""What an append rests on. An aggregate that is not in it is taken to have no events."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition on what is not written: nothing that `filter` selects is newer than `sequence`."""

    filter: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """The newest event of each subject that some filters select, in sequence order.

    Where that is not understood, the newest one before it that is stands at its own place: folded, they give
    what all events do.
    """

    events: tuple[Recorded, ...]

    @classmethod
    def with_hidden(cls, newest: Iterable[Recorded], hidden: Iterable[Recorded]) -> Self:
        return cls(tuple(sorted((*newest, *hidden), key=lambda event: event.sequence)))

    @property
    def heads(self) -> Heads:
        """The head of every aggregate met; right only where the filters cover whole aggregates."""
        return {e.aggregate: Head(e.sequence, e.hash) for e in self.events}

    @property
    def sequence(self) -> int:
        """Of the newest event; 0 when there is none."""
        return self.events[-1].sequence if self.events else 0

    def of(self, aggregate: Aggregate) -> tuple[Recorded, ...]:
        return tuple(e for e in self.events if e.aggregate == aggregate)


@dataclass(frozen=True, slots=True)
class Appended:
    """sequence: of the last event appended. heads: the new heads of the aggregates written."""

    sequence: int
    heads: Heads


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """A follower has seen all that was stored when it started; what comes now is news."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Importing:
    """An import is on its way into the log: `sequence` of its `events` are stored."""

    sequence: int
    events: int

    def __str__(self) -> str:
        return f"importing {self.sequence} of {self.events}"


class EventLog(Protocol):
    """Filters are NATS subject filters, made by `envelope.select` or `Aggregate.filter`.

    An import is whole or not there. While the log ends inside one, `load`, `subjects` and `append` raise
    LogImporting, `read` gives nothing and `follow` waits.
    Every method may raise LogReplaced: the log has another identity than it had, or lacks an event that was
    seen in it.
    """

    async def importing(self) -> Importing | None:
        """The import that the log ends inside of; None when there is none. Raises LogUnavailable."""
        ...

    async def identity(self) -> str:
        """Of the log, made with it: two logs never have the same. Raises LogUnavailable."""
        ...

    async def has(self, position: Position) -> bool:
        """Whether this log holds that very event, by its newest state; what is not known of it fits any.

        Sequence 0 is the beginning of every log. Raises LogUnavailable.
        """
        ...

    async def load(self, *filters: str, until: int | None = None) -> Loaded:
        """The newest event of each subject that the filters select, and what is hidden by those that are not
        understood; with `until`, of the log up to there.

        Its cost depends on the number of subjects, not on that of their events.
        Raises LogUnavailable.
        """
        ...

    async def subjects(self, one_filter: str) -> set[str]:
        """Every subject that the filter selects and that has an event. Its cost depends on their number, and
        is a fraction of that of loading them. Raises LogUnavailable.
        """
        ...

    async def append(
        self, drafts: Sequence[Draft], *, heads: Heads, cause: Cause, guards: Sequence[Guard] = ()
    ) -> Appended:
        """Store all drafts, or none: atomic, in order, durable when it returns.

        Every aggregate written is guarded by its head; `guards` adds conditions on others, at most
        one for each draft whose own aggregate an earlier draft guards already.
        An answer that never comes is asked for again with the same bytes until it is definite.

        Raises AppendConflict when a guard does not hold, LogUnavailable when the outcome stays unknown,
        LogImporting when nothing was appended because of an import, ValueError for no drafts or more guards
        than can be carried.
        """
        ...

    def read(self, *filters: str, after: int = 0, until: int | None = None) -> AsyncIterator[Recorded]:
        """Every event with `after` < sequence <= `until` (now, if None), in order, then ends."""
        ...

    def follow(
        self, *filters: str, after: int | None = None
    ) -> AsyncIterator[Recorded | CaughtUp | Importing]:
        """Never ends. From the newest event of each subject, or from all after a sequence; then the tail.

        A newest event that is not understood hides those before it here: `load` gives them.

        `CaughtUp` comes once, and once more after an import: `Importing` says that there is one, may come
        again as it grows, and none of its events comes before it is whole.
        A lost consumer is made again from the last event given: no gap, no repeat.
        """
        ...

    async def last_sequence(self) -> int:
        """Of the newest event in the log; 0 when it is empty."""
        ...

    async def sequence_at(self, moment: datetime, *, timeline: Timeline | None = None) -> int:
        """The last sequence that is shown as stored at or before `moment`, never inside a batch; 0 before the
        first.

        timeline: what is known of the times of this log. Without it, and behind its end, they are taken never
        to step back; where they do, some sequence near a step back is the answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as its bytes lie in the log; what verifying, exporting and importing work on.

    time: when it was stored first (an imported event keeps that time). headers: of the event itself,
    without those that only spoke to the broker.
    """

    sequence: int
    time: datetime
    subject: str
    headers: Mapping[str, str]
    data: bytes


class Archive(Protocol):
    """The whole log as it is stored. Both adapters of `EventLog` are one too."""

    def read_raw(self, *, after: int = 0, until: int | None = None) -> AsyncIterator[Stored]:
        """Every stored event with `after` < sequence <= `until` (now, if None), in order, then ends."""
        ...

    async def importing(self) -> Importing | None:
        """The import that the log ends inside of; None when there is none."""
        ...

    async def restore(self, events: Sequence[Stored], *, until: int) -> None:
        """Store events of an export as they are, at the same sequences: all of them, or none.

        until: the last sequence of the whole import, which begins with the first event of the log.

        Raises AppendConflict unless the log ends right before the first of them, LogUnavailable when the
        outcome stays unknown, ValueError for none, more than 1,000, or sequences that do not follow.
        """
        ...

    async def last_sequence(self) -> int:
        """Of the newest event in the log; 0 when it is empty."""
        ...
