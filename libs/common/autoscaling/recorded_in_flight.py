"""What was in flight of a deployment, from samples that were recorded before anybody asked. Pure.

A router asks its Envoy about what a policy goes by, what was called in the last minute, and what has
something in flight. So what is not reported has a meaning too, which it has not for who goes by it:

| what comes of a source                                                         | of the deployment |
|--------------------------------------------------------------------------------|-------------------|
| a report without it                                                            | 0                 |
| no report for three intervals, and requests are counted: none of it since the  | 0                 |
| last report, which had none in flight                                          |                   |
| no report for three intervals otherwise                                        | unknown           |
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from libs.common.autoscaling.in_flight_loads import Averages, Seconds
from libs.common.autoscaling.usage import INTERVALS
from libs.common.metrics.samples import Batch, Kind
from libs.common.scaling.in_flight import InFlightPolicy


@dataclass(slots=True)
class _Edge:
    counted_at: float
    """When it last told how many requests there were."""
    totals: tuple[int, int] | None = None
    """Of the deployment: answered, and not."""
    is_idle: bool = True
    """Nothing was in flight at the last report, and no request was counted since."""
    reported_at: float | None = None
    interval_s: float = 0.0
    report: tuple[int, float] | None = None
    """The number and the end of the interval that the newest parts are of."""
    parts: int = 0
    in_flight: float = 0.0
    """In those parts."""

    def is_reporting(self, now: float) -> bool:
        return self.reported_at is not None and now - self.reported_at <= INTERVALS * self.interval_s


@dataclass(slots=True)
class RecordedInFlight:
    """policy: over whose windows it is asked for."""

    deployment_id: str
    policy: InFlightPolicy
    _seconds: Seconds = field(default_factory=Seconds)
    _edges: dict[str, _Edge] = field(default_factory=dict)

    def take(self, batch: Batch, *, at: float) -> None:
        """A batch of what is in flight, or of requests. at: when it was stored."""
        edge = self._edges.setdefault(batch.source, _Edge(at))
        if batch.kind == Kind.IN_FLIGHT:
            self._report(edge, batch, at)
        elif batch.kind == Kind.REQUESTS:
            self._count(edge, batch, at)

    def averages(self, now: float, *, expected: Collection[str] = ()) -> Averages:
        """expected: the sources that there are, heard or not."""
        return self._seconds.averages(
            window_s=self.policy.window_s,
            panic_window_s=self.policy.panic_window_s,
            now=now,
            expected=expected,
        )

    def _report(self, edge: _Edge, batch: Batch, at: float) -> None:
        if edge.report != (batch.number, batch.ended_at):
            edge.report, edge.parts, edge.in_flight = (batch.number, batch.ended_at), 0, 0.0
        edge.parts += 1
        edge.in_flight += sum(
            one.in_flight for one in batch.in_flight if one.deployment_id == self.deployment_id
        )
        if edge.parts == batch.parts:
            edge.is_idle = not edge.in_flight
            edge.reported_at, edge.interval_s = at, batch.interval_s
            self._record(batch, edge.in_flight, at)

    def _count(self, edge: _Edge, batch: Batch, at: float) -> None:
        was_counting = at - edge.counted_at <= INTERVALS * batch.interval_s
        edge.counted_at = at
        for one in batch.requests:
            if one.deployment_id == self.deployment_id:
                before, edge.totals = edge.totals, (one.answered, one.unanswered)
                # What is told first may be long ago where everything is told.
                is_first = before is None and batch.is_whole
                edge.is_idle = edge.is_idle and (is_first or before == edge.totals)
        if batch.part < batch.parts or not edge.is_idle or edge.is_reporting(at):
            return
        heard_at = self._seconds.heard_at(batch.source)
        if was_counting and heard_at is not None and edge.reported_at is not None:
            # It goes on from the last report, before that is too old to go on from.
            self._record(batch, 0.0, min(at, max(heard_at, edge.reported_at + edge.interval_s)))
        self._record(batch, 0.0, at)

    def _record(self, batch: Batch, in_flight: float, at: float) -> None:
        self._seconds.record(
            batch.source, in_flight, at=at, interval_s=batch.interval_s, window_s=self.policy.window_s
        )
