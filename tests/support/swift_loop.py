"""An event loop on whose clock waiting takes no time: hours of what waits are over in a moment."""

import asyncio
import selectors
from typing import Final

MOST_TURNS: Final = 20_000
"""Without any wait between them; more come to no end."""
TURN_S: Final = 1e-6
"""What a turn takes: sums of times are not exact, so a wait may be over that little too early."""


class _Passing(selectors.DefaultSelector):
    """A wait is over at once, and counts as long as it would have been."""

    passed_s = 0.0
    turns = 0
    has_spun = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns = 0 if timeout else self.turns + 1
        if self.turns > MOST_TURNS:
            self.has_spun, timeout = True, 1.0
        self.passed_s += TURN_S + (timeout or 0.0)
        return super().select(0)


class SwiftLoop(asyncio.SelectorEventLoop):
    """For `asyncio.Runner`. Whatever goes by its `time` has waited."""

    def __init__(self) -> None:
        self._passing = _Passing()
        super().__init__(self._passing)

    @property
    def has_spun(self) -> bool:
        """Whether somebody has gone on and on without a pause."""
        return self._passing.has_spun

    def time(self) -> float:
        return self._passing.passed_s
