"""What one decision has to know of those before it. Pure data: a value that can be stored and read back."""

from dataclasses import dataclass, replace

from libs.common.scaling.limiting import Change
from libs.common.scaling.stabilising import Recommendation


@dataclass(frozen=True, slots=True)
class HpaMemory:
    """Where nothing is recorded the number in force counts as recommended. So forgetting delays a
    scale-down and never hastens one."""

    recommendations: tuple[Recommendation, ...] | None = None
    """None: nothing was ever recorded. Empty: it is known that nothing was recommended."""
    changes: tuple[Change, ...] = ()
    """Those that were made, as far as a rate still counts them."""
    kept_s: float | None = None
    """How far back the recommendations are kept; None: as far as anybody asks."""

    def begun(self, current: int, *, window_s: float, now: float) -> "HpaMemory":
        """As a decision that looks back `window_s` has to see it."""
        recommendations = self.recommendations
        if recommendations is not None and self.kept_s == window_s:
            return self
        if recommendations is None:
            recommendations = (Recommendation(current, now),)
        elif self.kept_s is not None and self.kept_s < window_s:
            recommendations = (Recommendation(current, now - self.kept_s), *recommendations)
        return HpaMemory(recommendations, self.changes, window_s)

    def with_recommended(self, replicas: int, *, now: float) -> "HpaMemory":
        """The number counts as recommended until now: nothing was measured, or nobody decided for a
        while."""
        if self.recommendations is None:
            return self
        kept = (one for one in self.recommendations if self.kept_s is None or now - one.at <= self.kept_s)
        return replace(self, recommendations=(*kept, Recommendation(replicas, now)))
