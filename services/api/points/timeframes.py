"""What of the points an answer shows: steps of a timeframe, each with its value. Pure.

A step of which nothing was measured is left out. One that has not ended has what was measured so far.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from services.api.points.store import Found

Timeframe = Literal["hour", "12_hours", "day", "1_week", "2_weeks"]
Metric = Literal[
    "requests_total",
    "cpu",
    "memory",
    "gpu",
    "requests_per_second",
    "requests_duration_seconds_1m",
    "requests_duration_seconds_5m",
]

GIB: Final = 1024.0**3
_CPU, _MEMORY, _CPUS, _MEMORY_GIB = range(4)

DURATION_MINUTES: Final[Mapping[str, int]] = {
    "requests_duration_seconds_1m": 1,
    "requests_duration_seconds_5m": 5,
}


@dataclass(frozen=True, slots=True)
class Window:
    """In minutes."""

    length: int
    step: int

    def first(self, now: int) -> int:
        """The first minute that is shown. now: the present one, which is not over. Steps begin at full
        multiples of themselves."""
        return now - now % self.step - self.length + (self.step if now % self.step else 0)


WINDOWS: Final[Mapping[str, Window]] = {
    "hour": Window(60, 1),
    "12_hours": Window(12 * 60, 10),
    "day": Window(24 * 60, 15),
    "1_week": Window(7 * 24 * 60, 2 * 60),
    "2_weeks": Window(14 * 24 * 60, 4 * 60),
}

Value = tuple[int, float]
"""The first minute of a step, and its value."""


Requests = tuple[float, float, float]
"""Of one minute: how many, how many of them a replica answered, and for how many microseconds."""

NONE: Final[Requests] = (0.0, 0.0, 0.0)
REQUEST_VALUES: Final = 4
"""Of a deployment's point, the first ones: as many as `requests_by_minute` looks at."""


def requests_by_minute(found: Sequence[Found], counted: Iterable[int]) -> dict[int, Requests]:
    """Every minute of which it is known how many there were. counted: in which requests were counted at all:
    without a point there were none."""
    known = dict.fromkeys(counted, NONE)
    for one in found:
        for minute, _, (answered, unanswered, _, duration_us, *_) in one.points:
            if answered is None or unanswered is None or duration_us is None:
                known.pop(minute, None)
            else:
                known[minute] = (answered + unanswered, answered, duration_us)
    return known


def totals(known: Mapping[int, Requests], window: Window, first: int) -> list[Value]:
    sums: dict[int, float] = defaultdict(float)
    for minute, (number, _, _) in known.items():
        if minute >= first:
            sums[minute - minute % window.step] += number
    return sorted(sums.items())


def per_second(known: Mapping[int, Requests], window: Window, first: int) -> list[Value]:
    """Over the minutes of each step that were measured."""
    measured: dict[int, int] = defaultdict(int)
    for minute in known:
        measured[minute - minute % window.step] += 1
    return [(minute, total / (60 * measured[minute])) for minute, total in totals(known, window, first)]


def durations(known: Mapping[int, Requests], window: Window, first: int, minutes: int) -> list[Value]:
    """In seconds: the average of the requests of the last `minutes` before each step's end, or of the step
    where that is longer. Without a request it is 0."""
    found = []
    for step in sorted({minute - minute % window.step for minute in known if minute >= first}):
        end = step + window.step
        answered = duration_us = 0.0
        for minute in range(min(end - minutes, step), end):
            _, more, longer = known.get(minute, NONE)
            answered += more
            duration_us += longer
        found.append((step, duration_us / answered / 1e6 if answered else 0.0))
    return found


def percentages(found: Found, window: Window, first: int, *, of_memory: bool) -> list[Value]:
    """Of a replica: of what its machine type has. A minute of which that is not known is left out."""
    used, full, unit = (_MEMORY, _MEMORY_GIB, GIB) if of_memory else (_CPU, _CPUS, 1.0)

    def shares() -> Iterator[Value]:
        for minute, _, values in found.points:
            amount, most = values[used], values[full]
            if amount is not None and most:
                yield minute, 100 * amount / (most * unit)

    return averages(shares(), window, first)


def averages(values: Iterable[Value], window: Window, first: int) -> list[Value]:
    steps: dict[int, list[float]] = defaultdict(list)
    for minute, value in values:
        step = minute - minute % window.step
        if step >= first:
            steps[step].append(value)
    return [(step, sum(some) / len(some)) for step, some in sorted(steps.items())]
