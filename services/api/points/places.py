"""Where the reading of METRICS goes on after a restart: by places in it, since its clock may be set. Pure."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from libs.common.metrics.port import Place, Received

MOST_BETWEEN_S: Final = 60.0
"""Between two samples no more counts as time that has passed: more may be a clock that was set."""
BACK_S: Final = 150.0
"""How far back the totals of all sources are told: each tells all of them once in 90 s, and the clock may
have been set within that time."""
_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Taken:
    """last: up to here all is in minutes. behind: what is read again from behind this sequence to `last`
    tells how far the totals were then."""

    last: Place
    behind: int

    def has(self, stream: str, sequence: int) -> bool:
        return stream == self.last.stream and sequence <= self.last.sequence


class Trail:
    """passed_s: how long has been read, by the stream's clock, as though nobody had set it."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self._newest: Received | None = None
        self._marks: deque[tuple[float, int]] = deque()
        """When, and the sequence behind which it goes on from there."""

    def take(self, received: Received) -> None:
        before, self._newest = self._newest, received
        if before is not None:
            self.passed_s += min(max(0.0, received.stored_at - before.stored_at), MOST_BETWEEN_S)
            if before.stream != received.stream:
                self._marks.clear()
        if not self._marks or self.passed_s >= self._marks[-1][0] + _EVERY_S:
            self._marks.append((self.passed_s, received.sequence - 1))
        while len(self._marks) > 1 and self._marks[1][0] <= self.passed_s - BACK_S:
            self._marks.popleft()

    @property
    def taken(self) -> Taken | None:
        """As of the newest sample; None before the first one."""
        if self._newest is None:
            return None
        return Taken(Place(self._newest.stream, self._newest.sequence), self._marks[0][1])
