"""Long work in an event loop that others share."""

import asyncio

from libs.common.clock import Ticks, monotonic

TURN_S = 0.0005
"""An answer to somebody else takes about twenty turns of the loop."""


class Turns:
    """Lets all others have their turn as soon as one's own has lasted long enough."""

    def __init__(self, *, turn_s: float = TURN_S, ticks: Ticks = monotonic) -> None:
        self._turn_s = turn_s
        self._ticks = ticks
        self._since = ticks()

    async def give(self) -> None:
        """Called after each small piece of the work."""
        if self._ticks() - self._since >= self._turn_s:
            await asyncio.sleep(0)
            self._since = self._ticks()
