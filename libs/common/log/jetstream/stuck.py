"""Whoever follows the log and is given no consumer for some time: a person has to be told why."""

from collections.abc import Callable

from libs.common.clock import Ticks

PATIENCE_S = 3.0
"""So long a follower may be without a consumer before that is more than a restart of the broker."""

Tell = Callable[[str], None]
"""Takes why the log cannot be followed, in one sentence; empty when it can be again."""


class Stuck:
    def __init__(self, tell: Tell, ticks: Ticks) -> None:
        self._tell = tell
        self._ticks = ticks
        self._since: dict[object, float] = {}
        self._reasons: dict[object, str] = {}

    def failed(self, follower: object, reason: str) -> None:
        since = self._since.setdefault(follower, self._ticks())
        if self._ticks() - since >= PATIENCE_S:
            self._reasons[follower] = f"the log cannot be followed: {reason}"
            self._tell(self._reasons[follower])

    def goes_on(self, follower: object) -> None:
        """It has a consumer, or has ended."""
        self._since.pop(follower, None)
        if self._reasons.pop(follower, None) is not None:
            self._tell(next(iter(self._reasons.values()), ""))
