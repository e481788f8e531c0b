"""Numbers as short as they can be shown without another conclusion than the true one. Pure."""

import math
from collections.abc import Callable
from decimal import Decimal

DECIMALS = 3
"""So many are shown at most, where more would not matter."""
MOST_DECIMALS = 17


def number(value: float) -> str:
    """As short as it is right to a thousandth."""
    return _rounded(value, DECIMALS)


def exact(value: float) -> str:
    """All of it, as a spec has it: 0.000001, never 1e-06."""
    text = f"{Decimal(repr(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def enough(value: float, concluded: Callable[[float], object]) -> str:
    """Thousandths, or as many decimals more as it takes that the same is concluded from what is shown."""
    right = concluded(value)
    for decimals in range(DECIMALS, MOST_DECIMALS):
        shown = _rounded(value, decimals)
        if concluded(float(shown)) == right:
            return shown
    return exact(value)


def before_rounding(value: float) -> str:
    """A hair above a whole number is told as that, since it is rounded up."""
    return enough(value, math.ceil)


def seconds(value: float) -> str:
    return f"{number(round(value, 1))} s"


def _rounded(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")
