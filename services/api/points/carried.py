"""How many requests were in flight in a minute, from what each source reported. Pure.

A router asks its Envoy about what a policy goes by, what was called in the last minute, and what has
something in flight. So what is not reported has a meaning too:

| a source                                                                | of a deployment |
|-------------------------------------------------------------------------|-----------------|
| reported, without it                                                    | 0 in the report |
| reported nothing, and counted requests: none of it, and it had none     | 0               |
| in flight at the last report before                                     |                 |
| reported nothing, and counted one of it, or it had some in flight then  | unknown         |
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from libs.common.metrics.samples import Batch

Report = tuple[int, float]
"""Its number, and the end of its interval: the parts of one share them."""


@dataclass(slots=True)
class _Flight:
    """Of one deployment by one source, as far as it was told: a 0 is told once."""

    total: float = 0.0
    most: float = 0.0


@dataclass(slots=True)
class _Newest:
    """The newest report of a source. busy: the deployments that had something in flight."""

    report: Report
    busy: set[str] = field(default_factory=set)


class Carried:
    def __init__(self) -> None:
        self._newest: dict[str, _Newest] = {}
        self.clear()

    def clear(self) -> None:
        """Another minute begins."""
        self._flights: dict[tuple[str, str], _Flight] = defaultdict(_Flight)
        self._reports: dict[str, set[Report]] = defaultdict(set)

    def take(self, batch: Batch, *, counts: bool) -> None:
        """counts: whether it is of the minute; otherwise it is of before."""
        report = batch.number, batch.ended_at
        newest = self._newest.get(batch.source)
        if newest is None or newest.report != report:
            newest = self._newest[batch.source] = _Newest(report)
        newest.busy.update(one.deployment_id for one in batch.in_flight if one.in_flight)
        if not counts:
            return
        self._reports[batch.source].add(report)
        for sample in batch.in_flight:
            flight = self._flights[batch.source, sample.deployment_id]
            flight.total += sample.in_flight
            flight.most = max(flight.most, sample.in_flight)

    def known(self) -> dict[str, tuple[float, float]]:
        """Of each deployment that was reported: the average, and the highest of its intervals."""
        found: dict[str, tuple[float, float]] = {}
        for (source, deployment_id), flight in self._flights.items():
            average, most = found.get(deployment_id, (0.0, 0.0))
            reports = len(self._reports[source])
            found[deployment_id] = average + flight.total / reports, most + flight.most
        return found

    def unknown(self, counted_by: Collection[str], called: Collection[tuple[str, str]]) -> set[str]:
        """The deployments that a silent source may have had something in flight of.

        counted_by: the sources that counted requests. called: of which deployments, each with its source.
        """
        silent = set(counted_by) - self._reports.keys()
        busy = [self._newest[source].busy for source in silent & self._newest.keys()]
        return {deployment_id for source, deployment_id in called if source in silent}.union(*busy)

    @property
    def has_reports(self) -> bool:
        return bool(self._reports)
