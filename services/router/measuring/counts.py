"""Running totals from counters that Envoy drops when nothing has touched them for a while. Pure.

At each sweep a counter that was touched since the sweep before is hidden: it is pushed again only when it is
touched. One that is hidden still at the next sweep is dropped, and begins at 0 again. What a dropped one had
is kept, and added to what it has next, so a total never falls while its Envoy lives.

| counter                                              | was dropped |
|------------------------------------------------------|-------------|
| is not among all that Envoy has                      | yes         |
| is less than before                                  | yes         |
| was hidden, is pushed again, and is not more than it was | yes     |
| anything else                                        | no          |
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from libs.common.metrics.samples import RequestTotals
from services.router.measuring.said import Values
from services.router.xds.counting import PLACES, request_totals

_HIDDEN = -1


def _zeros() -> list[int]:
    return [0] * PLACES


@dataclass(slots=True)
class _Counters:
    """Of one deployment, by place. kept: what dropped ones had. now: what Envoy has, as far as is known.
    pushed: the number of the last push that it was in."""

    kept: list[int] = field(default_factory=_zeros)
    now: list[int] = field(default_factory=_zeros)
    pushed: list[int] = field(default_factory=lambda: [_HIDDEN] * PLACES)
    total: RequestTotals | None = None
    """Made when it is asked for, and again after a change."""

    def set(self, place: int, value: int, *, was_dropped: bool = False) -> None:
        before = self.now[place]
        if was_dropped or value < before:
            self.kept[place] += before
        if was_dropped or value != before:
            self.now[place] = value
            self.total = None


class Counts:
    """Of one start of one Envoy."""

    def __init__(self, counter_id: str) -> None:
        self.counter_id = counter_id
        self._deployments: dict[str, _Counters] = {}
        self._number = 0
        self._pushed: Values = {}

    def push(self, values: Values) -> set[str]:
        """Take over what Envoy pushed; the deployments that had requests."""
        self._number += 1
        changed = set()
        for deployment_id, by_place in values.items():
            counters = self._deployments.setdefault(deployment_id, _Counters())
            for place, value in by_place.items():
                was_hidden = counters.pushed[place] < self._number - 1
                if was_hidden or counters.now[place] != value:
                    counters.set(place, value, was_dropped=was_hidden and value <= counters.now[place])
                    changed.add(deployment_id)
                counters.pushed[place] = self._number
        self._pushed = values
        return changed

    def has_hidden(self, values: Values) -> bool:
        """Whether a push hides what the one before had: there was a sweep between them."""
        return any(
            by_place.keys() - values.get(deployment_id, {}).keys()
            for deployment_id, by_place in self._pushed.items()
        )

    def resync(self, values: Values, *, exists: Callable[[str], bool]) -> set[str]:
        """Take over all that Envoy has; the deployments that had requests. One that does not exist any more
        goes with its counters.

        The look has to be older than the next push that is taken over, and younger than the last one.
        """
        for deployment_id, counters in list(self._deployments.items()):
            by_place = values.get(deployment_id, {})
            if not by_place and not exists(deployment_id):
                del self._deployments[deployment_id]
                continue
            for place in range(PLACES):
                if place not in by_place:
                    counters.set(place, 0)
        changed = set()
        for deployment_id, by_place in values.items():
            counters = self._deployments.setdefault(deployment_id, _Counters())
            for place, value in by_place.items():
                if counters.now[place] != value:
                    counters.set(place, value)
                    changed.add(deployment_id)
                # It is known now, hidden or not.
                counters.pushed[place] = self._number
        return changed

    @property
    def totals(self) -> Iterator[RequestTotals]:
        for deployment_id, counters in self._deployments.items():
            if counters.total is None:
                values = [sum(pair) for pair in zip(counters.kept, counters.now, strict=True)]
                counters.total = request_totals(deployment_id, values)
            yield counters.total

    # To remember over a restart of the router

    def remember(self) -> dict[str, Any]:
        return {
            "counter_id": self.counter_id,
            "deployments": {
                id_: [counters.kept, counters.now, [int(at == self._number) for at in counters.pushed]]
                for id_, counters in self._deployments.items()
            },
        }

    @classmethod
    def remembered(cls, memory: object, counter_id: str) -> Self | None:
        """What is remembered of this start; None where that is of another, or is no memory."""
        if not isinstance(memory, Mapping) or memory.get("counter_id") != counter_id:
            return None
        deployments = memory.get("deployments")
        if not isinstance(deployments, Mapping) or not all(map(_is_counters, deployments.values())):
            return None
        counts = cls(counter_id)
        for deployment_id, (kept, now, is_pushed) in deployments.items():
            pushed = [counts._number if is_so else _HIDDEN for is_so in is_pushed]
            counts._deployments[deployment_id] = _Counters(list(kept), list(now), pushed)
        return counts


def _is_counters(parts: object) -> bool:
    return isinstance(parts, Sequence) and len(parts) == 3 and all(map(_is_one_for_each_place, parts))


def _is_one_for_each_place(values: object) -> bool:
    return (
        isinstance(values, Sequence)
        and len(values) == PLACES
        and all(type(value) is int and value >= 0 for value in values)
    )
