"""When a message was received, on a clock that nobody sets, though the process may have been paused. Pure.

| message                                     | counts as received                                        |
|---------------------------------------------|-----------------------------------------------------------|
| was stored before anybody listened          | now, less its age by the time of day                      |
| came a second or less after it was stored   | now                                                       |
| waited longer, since the process was paused | so long after the one before it as it was stored after it |

How long it waited is taken from the times at which messages were stored; it cannot be longer than since the
one before it came. So a time of day that is set, wherever, moves a message by one interval at most.
"""

from dataclasses import dataclass

SMALL_S = 1.0


@dataclass(slots=True)
class Receipts:
    """Of one stream, in its order."""

    _last: tuple[float, float] | None = None
    """When the newest message was received, and when it was stored."""

    def stored(self, stored_at: float, *, now: float, wall: float) -> float:
        """A message from before anybody listened. wall: the time of day."""
        at = now - max(0.0, wall - stored_at)
        self._last = (at, stored_at)
        return at

    def live(self, stored_at: float, *, now: float) -> float:
        at = now
        if self._last is not None:
            last_at, last_stored_at = self._last
            at = min(max(last_at + stored_at - last_stored_at, last_at), now)
        if now - at <= SMALL_S:
            at = now
        self._last = (at, stored_at)
        return at
