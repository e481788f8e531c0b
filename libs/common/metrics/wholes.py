"""What a source no longer tells of, by its whole batches: then nothing of it needs to be remembered. Pure.

A whole batch has everything that its source knows. A source that has just started may know a little less for
one of them, until it has looked at all its counters; so what is missing in two whole batches one after the
other is gone.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from libs.common.metrics.samples import Batch

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class Wholes(Generic[Key]):
    """Of one source. told: since the whole batch `number` began, of which `parts` have come."""

    number: int | None = None
    parts: set[int] = field(default_factory=set)
    told: set[Key] = field(default_factory=set)
    missing: set[Key] = field(default_factory=set)
    """What the whole batch before did not have."""

    def take(self, batch: Batch, told: Iterable[Key]) -> bool:
        """Whether all parts of a whole batch have come with this one."""
        if batch.is_whole and batch.number != self.number:
            self.number, self.parts, self.told = batch.number, set(), set()
        if self.number is None:
            return False
        self.told.update(told)
        if not batch.is_whole:
            return False
        self.parts.add(batch.part)
        return len(self.parts) == batch.parts

    def gone(self, remembered: Iterable[Key]) -> set[Key]:
        """What of it is gone; to be asked once when a whole batch has come."""
        missing = {key for key in remembered if key not in self.told}
        gone = missing & self.missing
        self.number, self.parts, self.told, self.missing = None, set(), set(), missing - gone
        return gone
