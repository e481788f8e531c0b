"""How many requests and streams are in flight, from Envoy's load reports. Pure.

Envoy counts anyway what is active in each of its clusters, so a report costs no request anything. It reports
on the clusters that it was last asked about, once in a period. Each time it is asked its period begins anew:
asked too often it would never report.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest, LoadStatsResponse

from libs.common.metrics.intervals import WHOLE_EVERY_S
from libs.common.metrics.samples import Batch, Kind, RequestsInFlight
from libs.common.state.view import DeploymentView
from services.router.xds.resources import deployment_of_cluster, fresh_cluster

PERIOD_S: Final = 1
PER_PERIOD: Final = 1000
"""Deployments that are reported on each second; twice as many every two seconds, and so on."""
IDLE_PERIOD_S: Final = 60
"""While nothing is asked about: a report has 60 KB about Envoy itself."""
ASK_EVERY_S: Final = 5.0
"""How often the set of deployments may change."""
CALLED_WITHIN_S: Final = 60.0


def needs_in_flight(view: DeploymentView) -> bool:
    """Whether a policy decides by it."""
    deployment = view.deployment
    if deployment is None or not deployment.exists or deployment.spec is None:
        return False
    autoscaling = deployment.spec.resources.autoscaling
    return autoscaling is not None and autoscaling.enabled and autoscaling.concurrency is not None


@dataclass(frozen=True, slots=True)
class Question:
    """Which deployments Envoy is to report on, and how often."""

    deployment_ids: frozenset[str] = frozenset()

    @property
    def period_s(self) -> int:
        if not self.deployment_ids:
            return IDLE_PERIOD_S
        return PERIOD_S * -(-len(self.deployment_ids) // PER_PERIOD)

    def response(self) -> LoadStatsResponse:
        names = (name for id_ in sorted(self.deployment_ids) for name in (id_, fresh_cluster(id_)))
        response = LoadStatsResponse(clusters=names)
        response.load_reporting_interval.FromSeconds(self.period_s)
        return response


def choose(
    needed: Iterable[str], called_at: Mapping[str, float], in_flight: Mapping[str, int], now: float
) -> Question:
    """Those that a policy needs, those that were called in the last minute, and those where something is in
    flight still: a stream that says nothing for an hour too.

    called_at: in ticks, as `now`.
    """
    called = {id_ for id_, at in called_at.items() if now - at <= CALLED_WITHIN_S}
    busy = {id_ for id_, count in in_flight.items() if count}
    return Question(frozenset({*needed, *called, *busy}))


def read_report(request: LoadStatsRequest) -> dict[str, int]:
    """In flight by deployment, of those that have endpoints."""
    in_flight: dict[str, int] = {}
    for cluster in request.cluster_stats:
        id_ = deployment_of_cluster(cluster.cluster_name)
        active = in_flight.get(id_, 0)
        for locality in cluster.upstream_locality_stats:
            active += locality.total_requests_in_progress
        in_flight[id_] = active
    return in_flight


class InFlightBatches:
    """One for each report: what is not 0, and what has become 0; once a minute, and after a loss, everything.

    What is in none of them since the last whole one is 0 as it was.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._number = 0
        self._before: Mapping[str, int] = {}
        self._whole_at: float | None = None

    def lost(self) -> None:
        """A batch did not arrive: who reads takes what is not in the next one for unknown, so it has all."""
        self._whole_at = None

    def next(self, in_flight: Mapping[str, int], *, interval_s: float, ended_at: float, now: float) -> Batch:
        is_whole = self._whole_at is None or now - self._whole_at >= WHOLE_EVERY_S
        if is_whole:
            self._whole_at = now
        told = tuple(self._told(in_flight, is_whole=is_whole))
        self._before = in_flight
        self._number += 1
        return Batch(
            kind=Kind.IN_FLIGHT,
            source=self._source,
            counter_id="",
            number=self._number,
            interval_s=interval_s,
            ended_at=ended_at,
            is_whole=is_whole,
            in_flight=told,
        )

    def _told(self, in_flight: Mapping[str, int], *, is_whole: bool) -> Iterator[RequestsInFlight]:
        for id_, count in in_flight.items():
            if count or is_whole or self._before.get(id_) != 0:
                yield RequestsInFlight(deployment_id=id_, in_flight=count)
        if not is_whole:
            # Not asked about any more, or its last endpoint is gone.
            for id_ in self._before.keys() - in_flight.keys():
                if self._before[id_]:
                    yield RequestsInFlight(deployment_id=id_, in_flight=0)
