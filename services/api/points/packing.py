"""An hour of one series as bytes: its points with their minutes, compressed. Pure."""

import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Final

Row = tuple[int, tuple[float | None, ...]]
"""A minute of the hour, 0 to 59, and the values of its point; None where one is not known."""

_LEVEL: Final = 1


def pack(rows: Iterable[Row]) -> bytes:
    """All rows have the same number of values."""
    found = sorted(rows)
    width = len(found[0][1]) if found else 0
    layout = struct.Struct(f"<B{width}d")
    body = b"".join(
        layout.pack(minute, *(math.nan if value is None else value for value in values))
        for minute, values in found
    )
    return bytes([width]) + zlib.compress(body, _LEVEL)


def unpack(packed: bytes, width: int | None = None) -> list[Row]:
    """width: how many values of each row are wanted, the first ones; None for all. What a later version has
    added to a row is at its end."""
    there, body = packed[0], zlib.decompress(packed[1:])
    wanted = there if width is None else min(width, there)
    if wanted == 0:
        return [(minute, ()) for minute in body[:: 1 + 8 * there]]
    layout = struct.Struct(f"<B{wanted}d{8 * (there - wanted)}x")
    rows = list(layout.iter_unpack(body))
    # One sum tells whether any of them is not known, at a fraction of the price of looking at each.
    if math.isnan(sum(map(sum, rows))):
        return [(row[0], tuple(None if math.isnan(value) else value for value in row[1:])) for row in rows]
    return [(row[0], row[1:]) for row in rows]


def average_by(rows: Sequence[Row], minutes: int) -> list[Row]:
    """Points of so many minutes each, at their first minute; the average of what is known of each value."""
    parts: dict[int, list[tuple[float | None, ...]]] = {}
    for minute, values in rows:
        parts.setdefault(minute - minute % minutes, []).append(values)
    return [(minute, tuple(map(_average, zip(*some, strict=True)))) for minute, some in sorted(parts.items())]


def _average(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
