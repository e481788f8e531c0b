"""How many requests are in flight: averages over windows, from what each source reports. Pure.

Each second has what all sources reported for it. A report covers the seconds since the one before it of the
same source, so one that comes a little late leaves no hole.

| what comes                              | what it means                                                  |
|-----------------------------------------|----------------------------------------------------------------|
| a batch without a deployment            | as before; unless it is whole: then nothing is known of it     |
| a batch after one that was missed       | only what is in it is known, until the next whole one          |
| a report within three intervals         | it covers the seconds since the one before it                  |
| one after a longer silence              | recording begins anew: what was in between is unknown          |
| nothing for more than three intervals   | unknown, until the source speaks or was silent for a window;  |
|                                         | one that is expected is waited for however long it is silent  |
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from libs.common.autoscaling.usage import INTERVALS
from libs.common.metrics.samples import Batch
from libs.common.scaling.window_average import AverageBuckets, window_average

GRANULARITY_S = 1.0


class Averages(NamedTuple):
    """None: nothing is known."""

    stable: float | None = None
    panic: float | None = None


@dataclass(slots=True)
class _Source:
    counter_id: str
    number: int
    parts: int = 0
    """How many of the newest batch's parts have come."""
    values: dict[str, float] = field(default_factory=dict)
    """What is in flight of each deployment that is asked about, as far as it is known."""
    told: set[str] = field(default_factory=set)
    """Those that were in the parts of the newest batch."""


@dataclass(slots=True)
class _Reported:
    """Of one deployment by one source."""

    heard_at: float
    interval_s: float
    last: int
    """The newest second that it covers."""

    def is_silent(self, now: float) -> bool:
        return now - self.heard_at > INTERVALS * max(self.interval_s, GRANULARITY_S)


@dataclass(slots=True)
class Seconds:
    """How many requests of one deployment were in flight in each second: of all sources together."""

    sums: dict[int, float] = field(default_factory=dict)
    first: int | None = None
    sources: dict[str, _Reported] = field(default_factory=dict)

    def record(self, source: str, value: float, *, at: float, interval_s: float, window_s: float) -> None:
        second = int(at // GRANULARITY_S)
        reported = self.sources.get(source)
        if reported is not None and reported.is_silent(at):
            self.sums.clear()
            self.first = reported = None
        covered = max(1, round(interval_s / GRANULARITY_S))
        begin = second - covered + 1 if reported is None else reported.last + 1
        self.sources[source] = _Reported(at, interval_s, max(second, begin - 1))
        for one in range(begin, second + 1):
            self.sums[one] = self.sums.get(one, 0.0) + value
        self.first = begin if self.first is None else self.first
        if len(self.sums) > 2 * window_s / GRANULARITY_S + 60:
            oldest = second - int(window_s / GRANULARITY_S) - 1
            self.sums = {one: total for one, total in self.sums.items() if one > oldest}
            # A window that becomes longer must not take what is forgotten for seconds without a request.
            self.first = max(self.first, oldest + 1)

    def heard_at(self, source: str) -> float | None:
        """When the source was recorded last; None: not at all, or it was silent for a window."""
        reported = self.sources.get(source)
        return None if reported is None else reported.heard_at

    def averages(
        self, *, window_s: float, panic_window_s: float, now: float, expected: Collection[str]
    ) -> Averages:
        silent = [name for name, one in self.sources.items() if now - one.heard_at > window_s]
        for name in silent:
            if name not in expected:
                del self.sources[name]
        if not self.sources.keys() >= set(expected):
            return Averages()
        if self.first is None or not self.sources or any(s.is_silent(now) for s in self.sources.values()):
            return Averages()
        # A second counts once every source has reported it. The windows end with the newest that does: while
        # no source is silent, that the next report is on its way is no gap.
        last = min(one.last for one in self.sources.values())
        sums, first, end = self.sums, min(self.first, last), last * GRANULARITY_S
        if len(self.sources) > 1:
            sums = {second: total for second, total in sums.items() if second <= last}
        stable, panic = (
            window_average(AverageBuckets(seconds, GRANULARITY_S, sums, first, last), now=end)
            for seconds in (window_s, panic_window_s)
        )
        return Averages(stable, panic)


@dataclass(slots=True)
class InFlightLoads:
    """The loads of the deployments that scale by requests in flight."""

    _sources: dict[str, _Source] = field(default_factory=dict)
    _loads: dict[str, Seconds] = field(default_factory=dict)

    def take(self, batch: Batch, *, at: float, windows: Mapping[str, float]) -> set[str]:
        """at: when it was received. windows: the deployments that anybody asks about, each with its window in
        seconds. Returns those of them of which something new is known."""
        source = self._sources.get(batch.source)
        if source is None or source.counter_id != batch.counter_id:
            source = self._sources[batch.source] = _Source(batch.counter_id, batch.number)
        elif source.number != batch.number:
            if source.number + 1 != batch.number:
                source.values.clear()
            source.number, source.parts = batch.number, 0
            source.told.clear()
        source.parts += 1
        for one in batch.in_flight:
            if one.deployment_id in windows:
                source.values[one.deployment_id] = one.in_flight
                source.told.add(one.deployment_id)
        if source.parts < batch.parts:
            return set()
        known = source.told if batch.is_whole else source.values.keys()
        source.values = {name: source.values[name] for name in known if name in windows}
        for name, value in source.values.items():
            self._loads.setdefault(name, Seconds()).record(
                batch.source, value, at=at, interval_s=batch.interval_s, window_s=windows[name]
            )
        return set(source.values)

    def averages(
        self,
        deployment_id: str,
        *,
        window_s: float,
        panic_window_s: float,
        now: float,
        expected: Collection[str] = (),
    ) -> Averages:
        """expected: the sources that there are, heard or not."""
        load = self._loads.get(deployment_id)
        if load is None:
            return Averages()
        return load.averages(window_s=window_s, panic_window_s=panic_window_s, now=now, expected=expected)

    def forget(self, deployment_id: str) -> None:
        self._loads.pop(deployment_id, None)
