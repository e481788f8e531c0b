"""The times of events as readers see them: they never decrease in the order of the log.

The broker stamps events by the clock of its machine, and an import brings the times of another machine, so
what is stored may step back. The time shown of an event is the latest of all that are stored up to it:

    stored  10 11 14 12 13 15      shown  10 11 14 14 14 15

Events between a step back and the next later time form one `StepBack`; of all others the shown time is the
stored one. So few step backs and the latest time say all, however long the log is.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from libs.common.events.envelope import Recorded

BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StepBack:
    """The events from `first` to `last` are shown with `time`, which was stored before them."""

    first: int
    last: int
    time: datetime


class Timeline:
    """What is known of the times of one log up to `sequence`. latest: of the times stored up to there."""

    def __init__(
        self, sequence: int = 0, latest: datetime = BEGINNING, step_backs: Iterable[StepBack] = ()
    ) -> None:
        self.sequence = sequence
        self.latest = latest
        self._step_backs = list(step_backs)

    def take(self, event: Recorded) -> Recorded:
        """The event as it is shown. All are taken in the order of the log; taking one again is harmless."""
        self.note(event.sequence, event.time)
        return self.shown(event)

    def note(self, sequence: int, stored: datetime) -> None:
        """Take an event of which nothing else is wanted."""
        if sequence <= self.sequence:
            return
        if stored < self.latest:
            before = self._step_backs[-1] if self._step_backs else None
            if before is not None and before.last == self.sequence:
                self._step_backs[-1] = replace(before, last=sequence)
            else:
                self._step_backs.append(StepBack(sequence, sequence, self.latest))
        self.latest = max(self.latest, stored)
        self.sequence = sequence

    def shown(self, event: Recorded) -> Recorded:
        time = self.at(event.sequence, event.time)
        return event if time == event.time else replace(event, time=time)

    def at(self, sequence: int, stored: datetime) -> datetime:
        """The time shown of an event that was stored at `stored`. Of one that was not taken yet it is the
        least that it can be."""
        if sequence > self.sequence:
            return max(self.latest, stored)
        place = bisect_right(self._step_backs, sequence, key=lambda one: one.first) - 1
        if place >= 0 and sequence <= self._step_backs[place].last:
            return self._step_backs[place].time
        return stored

    def copy(self) -> "Timeline":
        return Timeline(self.sequence, self.latest, self._step_backs)

    def become(self, other: "Timeline") -> None:
        self.sequence, self.latest, self._step_backs = other.sequence, other.latest, other.step_backs()

    def step_backs(self, *, after: int = 0) -> list[StepBack]:
        """Those that reach behind a sequence."""
        place = bisect_right(self._step_backs, after, key=lambda one: one.last)
        return self._step_backs[place:]
