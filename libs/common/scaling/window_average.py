"""The average of what was recorded within a window: the aggregation of Knative's KPA. Pure.

What is recorded within one `granularity_s` is added up in one bucket; the average is over buckets.

| buckets                                 | count as                                           |
|-----------------------------------------|----------------------------------------------------|
| before the first that was ever recorded | not there: the average is over the shorter stretch |
| between two that were recorded          | 0                                                  |
| after the newest                        | not there: nothing came, which is not 0            |
| none within the window                  | no data                                            |

Recording is left to whoever knows the sources: it begins anew after a silence.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

PRECISION = 1_000_000
"""The average is rounded down to whole millionths."""


@dataclass(frozen=True, slots=True)
class AverageBuckets:
    """Sums by the index of their bucket, which is its time over the granularity."""

    window_s: float
    granularity_s: float = 1.0
    sums: Mapping[int, float] = field(default_factory=dict)
    first: int | None = None
    """Index of the first bucket since it began; None: nothing is recorded."""
    last: int | None = None
    """Index of the newest one."""

    @property
    def count(self) -> int:
        return math.ceil(self.window_s / self.granularity_s)

    def index(self, at: float) -> int:
        return math.floor(at / self.granularity_s)

    def spans(self, earlier: int, later: int) -> bool:
        """Whether the earlier bucket lies less than a window before the later one."""
        return (later - earlier) * self.granularity_s < self.window_s


def window_average(buckets: AverageBuckets, *, now: float) -> float | None:
    """None: there is no data. A `now` before the newest bucket is as one within it."""
    if buckets.first is None or buckets.last is None:
        return None
    present = max(buckets.index(now), buckets.last)
    if not buckets.spans(buckets.last, present):
        return None
    recorded = buckets.last - buckets.first + 1
    covered = min(recorded, buckets.count - (present - buckets.last))
    total = math.fsum(total for one, total in buckets.sums.items() if one > present - buckets.count)
    return math.floor(total / covered * PRECISION) / PRECISION
