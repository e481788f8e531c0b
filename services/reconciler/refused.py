"""When what the cluster has refused is tried once more: its operator may allow it by now. Pure.

Seldom: each try may ask for every replica of a spec.
"""

from collections.abc import Collection
from typing import Final

from libs.common.back_off import BackOff

_LONGEST: Final = 20
"""The longest pause, as so many of the first."""


class Refused:
    """By deployment, each with its newest spec. Times are by one clock that nobody sets."""

    def __init__(self, first_s: float) -> None:
        """first_s: between the refusal and the first try; each later pause is twice as long."""
        self._pauses = BackOff(first_s, _LONGEST * first_s)
        self._tries: dict[str, tuple[str, int, float]] = {}
        """The spec, how often it was refused, and when it is due."""

    def due(self, refused: Collection[tuple[str, str]], now: float) -> list[str]:
        """The deployments to try now. refused: every deployment whose newest spec was, with that spec."""
        before, self._tries = self._tries, {}
        found = []
        for deployment_id, spec_id in refused:
            known, times, at = before.get(deployment_id, ("", 0, now))
            if known != spec_id:
                times, at = 0, now
            is_due = times > 0 and now >= at
            if is_due or times == 0:
                times += 1
                at = now + self._pauses.pause_s(times)
            if is_due:
                found.append(deployment_id)
            self._tries[deployment_id] = (spec_id, times, at)
        return found
