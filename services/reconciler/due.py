"""Which deployments are to be compared when. Pure: times are seconds on one clock that the caller reads."""

import math
from collections.abc import Iterable


class Due:
    """One time for each, the earliest that was asked for; but none before its rest is over."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._rests_until: dict[str, float] = {}

    def now(self, deployment_ids: Iterable[str]) -> None:
        """As soon as possible."""
        for deployment_id in deployment_ids:
            self._at[deployment_id] = -math.inf

    def at(self, deployment_id: str, at: float) -> None:
        """At that time, unless an earlier one was asked for."""
        self._at[deployment_id] = min(at, self._at.get(deployment_id, at))

    def rest(self, deployment_id: str, until: float) -> None:
        self._rests_until[deployment_id] = until

    def take(self, now: float) -> list[str]:
        """Take out those whose time has come."""
        self._rests_until = {each: until for each, until in self._rests_until.items() if until > now}
        due = [each for each in self._at if self._due_at(each) <= now]
        for each in due:
            del self._at[each]
        return due

    def next_at(self) -> float:
        """When the next one is due; infinite when none is."""
        return min(map(self._due_at, self._at), default=math.inf)

    def _due_at(self, deployment_id: str) -> float:
        return max(self._at[deployment_id], self._rests_until.get(deployment_id, -math.inf))
