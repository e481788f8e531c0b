"""How long to wait between tries: a first pause, then longer and longer ones, up to a longest. Pure.

A plain class: each shim imports this, and making a dataclass or a named tuple is a tenth of its start.
"""

_ENOUGH = 64
"""Steps; whatever grows has reached its longest pause by then, and a float has not overflowed."""


class BackOff:
    """The first pause and the longest one in seconds, and by what each is longer than the last."""

    __slots__ = ("_factor", "_first_s", "_longest_s")

    def __init__(self, first_s: float, longest_s: float, factor: float = 2.0) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._factor = factor

    @property
    def first_s(self) -> float:
        return self._first_s

    def pause_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row, of which there is at least one."""
        steps = max(0, min(failures - 1, _ENOUGH))
        return min(self._first_s * self._factor**steps, self._longest_s)

    def next_s(self, previous_s: float) -> float:
        """The pause after one of `previous_s`; the first where there was none."""
        return min(previous_s * self._factor, self._longest_s) if previous_s > 0 else self._first_s
