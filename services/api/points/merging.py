"""Two accounts of the same minutes, as there are where the stream's clock was set back. Pure.

Every request is in one of the two, so they are added. What is a level, such as memory, is that of the newer
account, where it is known there.
"""

from collections.abc import Iterable
from itertools import zip_longest

from services.api.points.packing import Row
from services.api.points.tables import DEPLOYMENT, SUMS

Values = tuple[float | None, ...]


def merged(kind: int, older: Iterable[Row], newer: Iterable[Row]) -> list[Row]:
    """kind: what the series is of."""
    found = dict(older)
    for minute, values in newer:
        before = found.get(minute)
        found[minute] = values if before is None else _both(before, values, SUMS if kind == DEPLOYMENT else 0)
    return sorted(found.items())


def _both(older: Values, newer: Values, sums: int) -> Values:
    pairs = enumerate(zip_longest(older, newer))
    return tuple(_one(before, now, is_sum=place < sums) for place, (before, now) in pairs)


def _one(before: float | None, now: float | None, *, is_sum: bool) -> float | None:
    if now is None:
        return before
    return before + now if is_sum and before is not None else now
