"""What the replicas use: the newest measurement of each, and how old it is. Pure.

Ages are counted from when a measurement was received, on a clock that nobody sets. The same source time again
is the same measurement, and goes on ageing. A measurement of another process than the one that runs does not
count, nor does one that is older than three intervals.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from libs.common.events.replica import Replica
from libs.common.metrics.samples import Batch, ReplicaUsage
from libs.common.scaling.replicas import Resource, Sample, fresh

INTERVALS = 3
"""A source that says nothing for so many intervals says nothing."""

MILLI = 1000
GIB = 1024**3

Requests = Mapping[Resource, int]
"""What 100 % of each resource is, in thousandths of a core and of a byte."""


@lru_cache(maxsize=1024)
def requests_of(*, cpus: float | None, memory_gib: float | None) -> Requests:
    """What is not known is left out. There are few machine types, and all their replicas share the answer."""
    given = {
        Resource.CPU: cpus and round(cpus * MILLI),
        Resource.MEMORY: memory_gib and round(memory_gib * GIB) * MILLI,
    }
    return {resource: milli for resource, milli in given.items() if milli}


@dataclass(frozen=True, slots=True)
class Used:
    """What one replica used, as it was received."""

    attempt: int
    ended_at: float
    """By the source's clock: only tells one measurement from another."""
    received_at: float
    """By ours."""
    window_s: float
    used: Requests
    requests: Requests


@dataclass(slots=True)
class Usage:
    """The newest measurement of each replica, by deployment."""

    interval_s: float = 0.0
    """Of the newest batch."""
    _by_deployment: dict[str, dict[str, Used]] = field(default_factory=dict)

    def take(self, batch: Batch, *, at: float, wanted: Container[str]) -> set[str]:
        """at: when it was received. wanted: the deployments that anybody asks about. Returns those of which
        something new is known."""
        self.interval_s = batch.interval_s
        changed = set()
        for one in batch.usage:
            if one.deployment_id not in wanted:
                continue
            known = self._by_deployment.setdefault(one.deployment_id, {})
            before = known.get(one.replica_id)
            is_same = before is not None and (before.attempt, before.ended_at) == (one.attempt, one.ended_at)
            if not is_same:
                known[one.replica_id] = _used(one, at)
                changed.add(one.deployment_id)
        return changed

    def samples(
        self, deployment_id: str, replicas: Mapping[str, Replica], *, now: float
    ) -> dict[Resource, dict[str, Sample]]:
        """The fresh ones of these replicas' present processes."""
        found: dict[Resource, dict[str, Sample]] = {resource: {} for resource in Resource}
        for replica_id, one in self._of(deployment_id, replicas).items():
            age_s = max(0.0, now - one.received_at)
            for resource, milli in one.used.items():
                found[resource][replica_id] = Sample(milli, age_s, one.window_s)
        return {
            resource: fresh(samples, max_age_s=INTERVALS * self.interval_s)
            for resource, samples in found.items()
        }

    def requests(self, deployment_id: str, replica_id: str) -> Requests:
        """What the replica was created with, as far as its newest measurement says it, however old."""
        used = self._by_deployment.get(deployment_id, {}).get(replica_id)
        return {} if used is None else used.requests

    def _of(self, deployment_id: str, replicas: Mapping[str, Replica]) -> dict[str, Used]:
        """Of replicas that are no longer there everything is forgotten."""
        known = self._by_deployment.get(deployment_id)
        if known is None:
            return {}
        for gone in known.keys() - replicas.keys():
            del known[gone]
        return {
            replica_id: used
            for replica_id, used in known.items()
            if used.attempt == replicas[replica_id].attempt
        }

    def forget(self, deployment_id: str) -> None:
        self._by_deployment.pop(deployment_id, None)


def _used(one: ReplicaUsage, at: float) -> Used:
    given = {
        Resource.CPU: None if one.cpu_cores is None else round(one.cpu_cores * MILLI),
        Resource.MEMORY: None if one.memory_bytes is None else one.memory_bytes * MILLI,
    }
    used = {resource: milli for resource, milli in given.items() if milli is not None}
    requests = requests_of(cpus=one.cpus, memory_gib=one.memory_gib)
    return Used(one.attempt, one.ended_at, at, one.window_s, used, requests)
