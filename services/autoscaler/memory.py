"""What one decision about a deployment has to know of those before it, and how that is kept. Pure.

What is kept has ages, as they were when it was kept. Whoever reads it back takes no time to have passed
since then: a recommendation so counts for longer than it would have, which delays a scale-down and never
hastens one. The past changes are not kept: the log has them.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter

from pydantic import BaseModel, ConfigDict

from libs.common.scaling.concurrency import ConcurrencyMemory, begun
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.in_flight import InFlightMemory
from libs.common.scaling.limiting import Change
from libs.common.scaling.stabilising import Recommendation


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one deployment, in one stretch of specs with autoscaling on."""

    stretch_id: str
    hpa: HpaMemory = field(default_factory=HpaMemory)
    in_flight: InFlightMemory = field(default_factory=InFlightMemory)
    unknown_since: Mapping[str, float] = field(default_factory=dict)
    """Since when nothing is known, by the name of what is measured."""
    at_ceiling_since: float | None = None
    """Since when the number has been the highest that the spec allows; None: it is not."""
    decided_at: float | None = None
    """When it was last decided about; None: not yet, by this process."""

    def with_change(self, change: Change, *, longest_s: float) -> "Memory":
        kept = tuple(one for one in self.hpa.changes if change.at - one.at <= longest_s)
        return replace(self, hpa=replace(self.hpa, changes=(*kept, change)))

    def after_a_gap(self, current: int, *, now: float) -> "Memory":
        """Nobody decided for a while: the number in force counts as recommended, and as needed."""
        return replace(
            self,
            hpa=self.hpa.with_recommended(current, now=now),
            in_flight=panicked(self.in_flight, current, now=now),
        )


def panicked(memory: InFlightMemory, current: int, *, now: float) -> InFlightMemory:
    """With what is unknown as needed, until a whole window was measured."""
    before, fresh = memory.concurrency, begun(current, now=now)
    most = max(before.most_in_panic, fresh.most_in_panic)
    since = fresh.panicking_since if fresh.panicking_since is not None else before.panicking_since
    return replace(memory, concurrency=ConcurrencyMemory(since, most if since is not None else 0))


class KeptRecommendation(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    replicas: int
    age_s: float


class KeptMemory(BaseModel):
    """A memory as it lies in the bucket."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    recommendations: tuple[KeptRecommendation, ...] | None = None
    kept_s: float | None = None
    panicking_for_s: float | None = None
    most_in_panic: int = 0
    unknown_for_s: Mapping[str, float] = {}
    at_ceiling_for_s: float | None = None

    @classmethod
    def of(cls, memory: Memory, *, now: float) -> "KeptMemory":
        hpa, concurrency = memory.hpa, memory.in_flight.concurrency
        since = concurrency.panicking_since
        recommendations = None
        if hpa.recommendations is not None:
            recommendations = tuple(
                KeptRecommendation(replicas=one.replicas, age_s=max(0.0, now - one.at))
                for one in that_matter(hpa.recommendations)
            )
        return cls(
            recommendations=recommendations,
            kept_s=hpa.kept_s,
            panicking_for_s=None if since is None else now - since,
            most_in_panic=concurrency.most_in_panic,
            unknown_for_s={name: now - at for name, at in memory.unknown_since.items()},
            at_ceiling_for_s=None if memory.at_ceiling_since is None else now - memory.at_ceiling_since,
        )

    def read(self, stretch_id: str, *, now: float) -> Memory:
        recommendations = None
        if self.recommendations is not None:
            recommendations = tuple(
                Recommendation(one.replicas, now - one.age_s) for one in self.recommendations
            )
        since = None if self.panicking_for_s is None else now - self.panicking_for_s
        return Memory(
            stretch_id,
            HpaMemory(recommendations, (), self.kept_s),
            InFlightMemory(ConcurrencyMemory(since, self.most_in_panic)),
            {name: now - age for name, age in self.unknown_for_s.items()},
            None if self.at_ceiling_for_s is None else now - self.at_ceiling_for_s,
        )


_AGE = attrgetter("at")


def that_matter(recommendations: Iterable[Recommendation]) -> tuple[Recommendation, ...]:
    """Those that can still be the highest or the lowest of some window, oldest first: each is higher than
    every later one, or lower."""
    kept: list[Recommendation] = []
    highest, lowest = -math.inf, math.inf
    for one in sorted(recommendations, key=_AGE, reverse=True):
        if one.replicas > highest:
            highest = one.replicas
        elif one.replicas >= lowest:
            continue
        lowest = min(lowest, one.replicas)
        kept.append(one)
    return tuple(reversed(kept))
