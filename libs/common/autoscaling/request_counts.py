"""How many requests were answered within a window, and how long they took: from running totals. Pure.

| what comes                                  | what it means                                               |
|---------------------------------------------|-------------------------------------------------------------|
| a source's first whole batch                | measuring of it begins: counting starts at its totals       |
| a higher total of the same counter          | the difference was counted since the batch before           |
| another `counter_id`                        | it began at 0, so all of the total was counted since        |
| a lower total of the same counter           | unknown: for this deployment measuring begins anew          |
| nothing for more than three intervals       | unknown: measuring begins anew with the next whole batch    |
| nothing for a whole window                  | the source is gone, and no longer waited for; one that is   |
|                                             | expected is waited for however long it is silent            |

All sources are summed. A deployment that is not in a batch is as before.
"""

import math
from collections import deque
from collections.abc import Collection, Container
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from libs.common.autoscaling.usage import INTERVALS
from libs.common.metrics.samples import Batch, RequestTotals
from libs.common.metrics.wholes import Wholes
from libs.common.scaling.request_duration import RequestDuration


class _Counted(NamedTuple):
    answered: int
    duration_us: int


class _Point(NamedTuple):
    """How much was counted until `at`, since measuring began."""

    at: float
    counted: _Counted


_NONE: Final = _Counted(0, 0)


@dataclass(slots=True)
class _Series:
    """What one source counted of one deployment that somebody asks about."""

    since: float
    """When measuring of it began."""
    points: deque[_Point]

    @classmethod
    def begun(cls, since: float) -> "_Series":
        return cls(since, deque([_Point(since, _NONE)]))

    def add(self, answered: int, duration_us: int, *, at: float) -> None:
        last = self.points[-1].counted
        self.points.append(_Point(at, _Counted(last.answered + answered, last.duration_us + duration_us)))

    def counted(self, since: float) -> _Counted:
        """After `since`. What is older is forgotten, but for the newest of it."""
        while len(self.points) > 1 and self.points[1].at <= since:
            self.points.popleft()
        first, last = self.points[0].counted, self.points[-1].counted
        return _Counted(last.answered - first.answered, last.duration_us - first.duration_us)


@dataclass(slots=True)
class _Source:
    counter_id: str
    began_with: int | None
    """The number of the whole batch with which measuring began; None once another one came."""
    since: float
    heard_at: float
    interval_s: float
    totals: dict[str, _Counted] = field(default_factory=dict)
    """The newest of every deployment; one that is not here was not counted yet, or is gone."""
    wholes: Wholes[str] = field(default_factory=Wholes)
    series: dict[str, _Series] = field(default_factory=dict)

    def is_silent(self, now: float) -> bool:
        return now - self.heard_at > INTERVALS * self.interval_s

    def take(self, total: RequestTotals, *, at: float, is_first: bool, is_wanted: bool) -> None:
        """is_first: it belongs to the batch with which measuring began."""
        name, now = total.deployment_id, _Counted(total.answered, total.duration_us)
        before = self.totals.get(name)
        self.totals[name] = now
        if not is_wanted:
            self.series.pop(name, None)
            return
        series = self.series.get(name)
        if series is None:
            # Nobody asked until now, so how its total came about within the window is not known.
            is_new = before is None and not is_first
            series = self.series[name] = _Series.begun(self.since if is_new or is_first else at)
        if is_first:
            return
        added = _Counted(
            now.answered - (before or _NONE).answered, now.duration_us - (before or _NONE).duration_us
        )
        if min(added) < 0:
            self.series[name] = _Series.begun(at)
        elif any(added):
            series.add(*added, at=at)


@dataclass(slots=True)
class RequestCounts:
    """window_s: what is asked for."""

    window_s: float
    _sources: dict[str, _Source] = field(default_factory=dict)

    def take(self, batch: Batch, *, at: float, wanted: Container[str]) -> set[str]:
        """at: when it was received. wanted: the deployments that anybody asks about. Returns those of them
        that are in it."""
        source = self._sources.get(batch.source)
        if source is None or source.is_silent(at):
            if not batch.is_whole:
                return set()
            source = _Source(batch.counter_id, batch.number, at, at, batch.interval_s)
            self._sources[batch.source] = source
        elif source.counter_id != batch.counter_id:
            source.counter_id = batch.counter_id
            source.totals.clear()
            source.wholes = Wholes()
        source.heard_at, source.interval_s = at, batch.interval_s
        is_first = batch.number == source.began_with
        if not is_first:
            source.began_with = None
        for total in batch.requests:
            source.take(total, at=at, is_first=is_first, is_wanted=total.deployment_id in wanted)
        if source.wholes.take(batch, (total.deployment_id for total in batch.requests)):
            for deployment_id in source.wholes.gone(source.totals):
                del source.totals[deployment_id]
        return {total.deployment_id for total in batch.requests if total.deployment_id in wanted}

    def measured(
        self, deployment_id: str, *, now: float, expected: Collection[str] = ()
    ) -> RequestDuration | None:
        """Over the window; None: nothing is known. expected: the sources that there are, heard or not."""
        self._sources = {
            name: one
            for name, one in self._sources.items()
            if name in expected or not self._is_gone(one, now)
        }
        if not self._sources or any(source.is_silent(now) for source in self._sources.values()):
            return None
        if not self._sources.keys() >= set(expected):
            return None
        answered, duration_us, began = 0, 0, -math.inf
        for source in self._sources.values():
            series = source.series.get(deployment_id)
            began = max(began, source.since if series is None else series.since)
            if series is not None:
                counted = series.counted(now - self.window_s)
                answered, duration_us = answered + counted.answered, duration_us + counted.duration_us
        return RequestDuration(duration_us, answered, max(0.0, now - began))

    def forget(self, deployment_id: str) -> None:
        for source in self._sources.values():
            source.series.pop(deployment_id, None)
            source.totals.pop(deployment_id, None)

    def _is_gone(self, source: _Source, now: float) -> bool:
        return now - source.heard_at > max(self.window_s, INTERVALS * source.interval_s)
