"""What is published of replicas and requests, also as metrics for whoever watches the platform."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from libs.common import telemetry
from libs.common.clock import Ticks, monotonic
from libs.common.metrics.intervals import WHOLE_EVERY_S
from libs.common.metrics.port import SamplePublisher
from libs.common.metrics.samples import Batch, Kind, ReplicaUsage, RequestTotals

FRESH_FOR: Final = 3
"""Intervals: what was measured longer ago is shown no more."""
_NONE: Final = RequestTotals(deployment_id="")


class Shown:
    """Hands every batch on to `publisher`; what that loses is shown all the same."""

    def __init__(self, publisher: SamplePublisher, *, ticks: Ticks = monotonic) -> None:
        self._publisher = publisher
        self._ticks = ticks
        self._usage: dict[tuple[str, str], tuple[ReplicaUsage, float]] = {}
        """Of each replica of a deployment: its newest measurement, and when that was first heard."""
        self._totals: dict[str, tuple[str, dict[str, RequestTotals]]] = {}
        """Of each source: its counter, and the newest totals of each deployment that it has."""
        self._in_flight: dict[str, float] = {}
        self._cpu = telemetry.gauge(
            "specstream.deployment.cpu", unit="{core}", description="Cores that its replicas use together"
        )
        self._memory = telemetry.gauge(
            "specstream.deployment.memory",
            unit="By",
            description="Memory that its replicas use together, without the cache of files",
        )
        self._gpu = telemetry.gauge(
            "specstream.deployment.gpu",
            unit="%",
            description="Use of GPUs by its replicas together; 100 is one whole GPU",
        )
        self._flying = telemetry.gauge(
            "specstream.deployment.in_flight",
            unit="{request}",
            description="Requests and streams in flight",
        )
        self._answered = telemetry.counter(
            "specstream.requests.answered",
            unit="{request}",
            description="Requests that a replica answered",
        )
        self._unanswered = telemetry.counter(
            "specstream.requests.unanswered",
            unit="{request}",
            description="Requests that got no replica's answer",
        )
        self._server_errors = telemetry.counter(
            "specstream.requests.server_errors",
            unit="{request}",
            description="Requests that a replica answered with a status of 500 or higher",
        )
        self._duration = telemetry.counter(
            "specstream.requests.duration",
            unit="s",
            description="From first byte to last, summed over the requests that a replica answered",
        )

    async def publish(self, batch: Batch) -> None:
        """As the publisher's own. Raises what that raises."""
        match batch.kind:
            case Kind.USAGE:
                self._show_usage(batch)
            case Kind.REQUESTS:
                self._show_requests(batch)
            case Kind.IN_FLIGHT:
                self._show_in_flight(batch)
        await self._publisher.publish(batch)

    def _show_usage(self, batch: Batch) -> None:
        """What a batch leaves out may not have been measured anew. What is told again is as old as it was."""
        now, for_s = self._ticks(), FRESH_FOR * batch.interval_s
        newest = {(one.deployment_id, one.replica_id): (one, now) for one in batch.usage}
        for key, (one, _) in newest.items():
            before = self._usage.get(key)
            if before is not None and _is_same(before[0], one):
                newest[key] = one, before[1]
        self._usage = newest if batch.is_whole else {**self._usage, **newest}
        fresh = [one for one, heard_at in self._usage.values() if now - heard_at <= for_s]
        self._cpu.tell_each(_summed((one, one.cpu_cores) for one in fresh), for_s=for_s)
        self._memory.tell_each(_summed((one, one.memory_bytes) for one in fresh), for_s=for_s)
        by_gpu = ((one, gpu.utilization_percent) for one in fresh for gpu in one.gpus)
        self._gpu.tell_each(_summed(by_gpu), for_s=for_s)

    def _show_requests(self, batch: Batch) -> None:
        """What is first heard of a source may be old; what a new counter has is new."""
        known = self._totals.get(batch.source)
        before = known[1] if known is not None and known[0] == batch.counter_id else {}
        now = {one.deployment_id: one for one in batch.requests}
        self._totals[batch.source] = (batch.counter_id, now if batch.is_whole else {**before, **now})
        if known is None:
            return
        for counter, name, unit in (
            (self._answered, "answered", 1),
            (self._unanswered, "unanswered", 1),
            (self._server_errors, "server_errors", 1),
            (self._duration, "duration_us", 1_000_000),
        ):
            added = {
                deployment_id: (getattr(one, name) - getattr(before.get(deployment_id, _NONE), name)) / unit
                for deployment_id, one in now.items()
            }
            counter.add_each({deployment_id: more for deployment_id, more in added.items() if more > 0})

    def _show_in_flight(self, batch: Batch) -> None:
        kept = {} if batch.is_whole else self._in_flight
        self._in_flight = {**kept, **{one.deployment_id: one.in_flight for one in batch.in_flight}}
        # What has not changed is told once a minute.
        self._flying.tell_each(self._in_flight, for_s=FRESH_FOR * max(batch.interval_s, WHOLE_EVERY_S))


def _is_same(one: ReplicaUsage, other: ReplicaUsage) -> bool:
    """Whether both are the same measurement, by the source's clock."""
    return (one.attempt, one.ended_at) == (other.attempt, other.ended_at)


def _summed(values: Iterable[tuple[ReplicaUsage, float | None]]) -> Mapping[str, float]:
    """By deployment; without those of which nothing is known."""
    found: dict[str, float] = defaultdict(float)
    for one, value in values:
        if value is not None:
            found[one.deployment_id] += value
    return found
