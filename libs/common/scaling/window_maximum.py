"""The highest of what was recorded within a window, as in the delay of Knative's KPA. Pure.

A window is a whole number of buckets, each one granularity long, the one of `now` among them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class MaximumBuckets:
    """The highest value by the index of its bucket, which is its time over the granularity. What a later
    one is at least as high as is left out: it can never be the highest again."""

    window_s: float
    granularity_s: float = 1.0
    highest: Mapping[int, float] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return math.ceil(self.window_s / self.granularity_s)

    def index(self, at: float) -> int:
        return math.floor(at / self.granularity_s)


def record_maximum(buckets: MaximumBuckets, *, at: float, value: float) -> MaximumBuckets:
    """With the value, where it is the highest of its bucket. One that is older than the window changes
    nothing."""
    index = buckets.index(at)
    newest = max(index, *buckets.highest) if buckets.highest else index
    highest = {one: top for one, top in buckets.highest.items() if one > newest - buckets.count}
    if index > newest - buckets.count:
        highest[index] = max(value, highest.get(index, value))
    kept: dict[int, float] = {}
    top = -math.inf
    for one in sorted(highest, reverse=True):
        if highest[one] > top:
            kept[one] = top = highest[one]
    return replace(buckets, highest=kept)


def window_maximum(buckets: MaximumBuckets, *, now: float) -> float | None:
    """None: there is no data."""
    oldest = buckets.index(now) - buckets.count
    return max((top for one, top in buckets.highest.items() if one > oldest), default=None)
