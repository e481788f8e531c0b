"""How long to wait before a program that ended is started again. Pure."""

from dataclasses import dataclass

from libs.common.back_off import BackOff

DELAYS = BackOff(0.2, 10.0)
SETTLED_AFTER_S = 30.0
"""A program that lived this long starts from the first delay again."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """failures: how often in a row the program ended before it had settled."""

    failures: int = 0

    def ended(self, *, lived_s: float) -> "tuple[float, Restarts]":
        """The delay in seconds before the next start, and the state after it.

        | lived_s | failures before | delay                  |
        |---------|-----------------|------------------------|
        | >= 30   | any             | 0.2                    |
        | < 30    | n               | 0.2 * 2^n, at most 10  |
        """
        before = 0 if lived_s >= SETTLED_AFTER_S else self.failures
        return DELAYS.pause_s(before + 1), Restarts(before + 1)
