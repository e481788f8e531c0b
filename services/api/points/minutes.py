"""From samples to minutes: what each deployment and each replica did and used in one. Pure.

A minute is told by the clock of the stream, which stored the samples: it is one clock for all of them.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from libs.common.metrics.port import Received
from libs.common.metrics.samples import Batch, Kind, ReplicaUsage, RequestTotals
from libs.common.metrics.wholes import Wholes
from services.api.points.carried import Carried
from services.api.points.places import Taken, Trail

MINUTE_S: Final = 60
LOOK_BACK_S: Final = 90.0
"""After so long every source has told all its totals once."""
STEP_BACK: Final = 2
"""Minutes that the stream's clock may step back by, and what comes counts in the present minute."""

Totals = tuple[int, int, int, int]
"""answered, unanswered, server errors, microseconds of the answered."""


@dataclass(slots=True)
class DeploymentPoint:
    """In one minute. None: not known, as the requests are when a total fell.

    cpu_cores: of all replicas together, on average: one that was there for half of the minute counts half.
    memory_bytes: of all replicas that were measured, each by its average. in_flight: on average;
    in_flight_most: the highest of its intervals (`carried.py`).
    """

    answered: float | None = None
    unanswered: float | None = None
    server_errors: float | None = None
    duration_us: float | None = None
    cpu_cores: float | None = None
    memory_bytes: float | None = None
    replicas: float | None = None
    in_flight: float | None = None
    in_flight_most: float | None = None


@dataclass(slots=True)
class ReplicaPoint:
    """On average over one minute. cpus, memory_gib: what 100 % is."""

    cpu_cores: float | None = None
    memory_bytes: float | None = None
    cpus: float | None = None
    memory_gib: float | None = None


@dataclass(slots=True)
class GpuPoint:
    utilization_percent: float | None = None
    memory_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Minute:
    """number: since 1970. has_requests: whether requests were counted in it, at every edge: a deployment of
    which there is no point had none then; otherwise nothing is known. counted: what was counted in it of each
    deployment, also where others could not be. taken: up to where METRICS is in this minute and those before;
    None where it does not come from there."""

    number: int
    has_requests: bool
    deployments: Mapping[str, DeploymentPoint]
    replicas: Mapping[tuple[str, str], ReplicaPoint]
    gpus: Mapping[tuple[str, str, int], GpuPoint] = field(default_factory=dict)
    counted: Mapping[str, Totals] = field(default_factory=dict)
    taken: Taken | None = None


@dataclass(slots=True)
class _Counter:
    """What one identity of one source has counted.

    is_complete: every deployment that it counted is here, so one that is not began at 0. What its source no
    longer tells of is gone, and would begin at 0 too.
    """

    counter_id: str
    is_complete: bool
    totals: dict[str, Totals] = field(default_factory=dict)
    wholes: Wholes[str] = field(default_factory=Wholes)


@dataclass(slots=True)
class _Average:
    total: float = 0.0
    number: int = 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self.total += value
            self.number += 1

    @property
    def value(self) -> float | None:
        return self.total / self.number if self.number else None


@dataclass(slots=True)
class _Used:
    """core_s: what was used, in seconds of a core, within covered_s seconds that were measured. They lie
    between `begin` and `end`, by the clock of the source."""

    cpu: _Average = field(default_factory=_Average)
    core_s: float = 0.0
    covered_s: float = 0.0
    begin: float = math.inf
    end: float = -math.inf
    memory: _Average = field(default_factory=_Average)
    newest: ReplicaUsage | None = None
    gpu_use: dict[int, _Average] = field(default_factory=lambda: defaultdict(_Average))
    gpu_memory: dict[int, _Average] = field(default_factory=lambda: defaultdict(_Average))


class Gathering:
    """Takes the samples in the order of the stream.

    taken: how far it is in minutes already; up to there samples only tell how far the totals were then.
    minute: the one that was finished last. edges: by whose counts the requests of a minute are known; without
    any, by those of whoever counted.
    """

    def __init__(
        self, *, taken: Taken | None = None, minute: int | None = None, edges: Collection[str] = ()
    ) -> None:
        self._taken = taken
        self._edges = frozenset(edges)
        self._trail = Trail()
        self._counters: dict[str, _Counter] = {}
        self._last_usage: dict[tuple[str, str], tuple[int, float]] = {}
        self._wholes_of_usage: dict[str, Wholes[tuple[str, str]]] = {}
        self._carried = Carried()
        # What comes late for a minute that is over counts in the next one, also after a restart.
        self._number = None if minute is None else minute + 1
        self._clear()

    def _clear(self) -> None:
        self._is_empty = True
        self._counted_by: set[str] = set()
        self._requests: dict[str, list[int]] = {}
        self._called: set[tuple[str, str]] = set()
        """Sources, and the deployments of which they counted a request."""
        self._unknown: set[str] = set()
        self._used: dict[tuple[str, str], _Used] = defaultdict(_Used)
        self._carried.clear()

    def take(self, received: Received) -> Minute | None:
        """The minute before, where this is the first sample of another one."""
        counts = self._taken is None or not self._taken.has(received.stream, received.sequence)
        finished = self._turn(int(received.stored_at // MINUTE_S)) if counts else None
        self._trail.take(received)
        self._is_empty = self._is_empty and not counts
        self._take_usage(received.batch, counts)
        if received.batch.requests or received.batch.kind == "requests":
            self._take_requests(received, counts)
        if received.batch.kind == Kind.IN_FLIGHT:
            self._carried.take(received.batch, counts=counts)
        return finished

    def finish(self, now: float) -> Minute | None:
        """The present minute, where it is over by the clock of whoever asks; seconds since 1970."""
        if self._number is None or self._is_empty or now < (self._number + 1) * MINUTE_S:
            return None
        # No further than to the next one: what is under way counts there, and after a connection was cut the
        # minutes that it lasted come in their order.
        return self._turn(self._number + 1)

    def _turn(self, number: int) -> Minute | None:
        present = self._number
        if present is not None and present - STEP_BACK <= number <= present:
            return None
        finished = None if present is None or self._is_empty else self._minute(present)
        self._number = number
        self._clear()
        return finished

    def _take_usage(self, batch: Batch, counts: bool) -> None:
        for sample in batch.usage:
            key = sample.deployment_id, sample.replica_id
            is_new = self._last_usage.get(key) != (sample.attempt, sample.ended_at)
            self._last_usage[key] = sample.attempt, sample.ended_at
            if not counts or not is_new:
                continue
            used = self._used[key]
            used.newest = sample
            used.cpu.add(sample.cpu_cores)
            if sample.cpu_cores is not None:
                used.core_s += sample.cpu_cores * sample.window_s
                used.covered_s += sample.window_s
                used.begin = min(used.begin, sample.ended_at - sample.window_s)
                used.end = max(used.end, sample.ended_at)
            used.memory.add(sample.memory_bytes)
            for gpu in sample.gpus:
                used.gpu_use[gpu.gpu].add(gpu.utilization_percent)
                used.gpu_memory[gpu.gpu].add(gpu.memory_bytes)
        if batch.kind == Kind.USAGE:
            wholes = self._wholes_of_usage.setdefault(batch.source, Wholes())
            if wholes.take(batch, ((sample.deployment_id, sample.replica_id) for sample in batch.usage)):
                for key in wholes.gone(self._last_usage):
                    del self._last_usage[key]

    def _take_requests(self, received: Received, counts: bool) -> None:
        batch = received.batch
        counter = self._counters.get(batch.source)
        if counter is None or counter.counter_id != batch.counter_id:
            # One that we have followed and that begins anew began at 0, and so did one that is new itself.
            # A source that shows itself long after the first of all samples is new.
            began_at_0 = counter is not None or self._trail.passed_s >= LOOK_BACK_S
            counter = self._counters[batch.source] = _Counter(batch.counter_id, began_at_0)
        if counts:
            self._counted_by.add(batch.source)
        for sample in batch.requests:
            if self._count(counter, sample, counts):
                self._called.add((batch.source, sample.deployment_id))
        if counter.wholes.take(batch, (sample.deployment_id for sample in batch.requests)):
            counter.is_complete = True
            for deployment_id in counter.wholes.gone(counter.totals):
                del counter.totals[deployment_id]

    def _count(self, counter: _Counter, sample: RequestTotals, counts: bool) -> bool:
        """Whether it was called in this minute."""
        now = (sample.answered, sample.unanswered, sample.server_errors, sample.duration_us)
        before = counter.totals.get(sample.deployment_id)
        counter.totals[sample.deployment_id] = now
        if before is None and counter.is_complete:
            before = (0, 0, 0, 0)
        if not counts or before is None or now == before:
            return False
        if any(later < earlier for later, earlier in zip(now, before, strict=True)):
            self._unknown.add(sample.deployment_id)
            return True
        sums = self._requests.setdefault(sample.deployment_id, [0, 0, 0, 0])
        for place in range(4):
            sums[place] += now[place] - before[place]
        return True

    def _cores(self) -> dict[str, float]:
        """Of each deployment's replicas together, over the time in which any of them was measured."""
        measured: dict[str, list[_Used]] = defaultdict(list)
        for (deployment_id, _), one in self._used.items():
            if one.covered_s:
                measured[deployment_id].append(one)
        return {name: _cores_together(some) for name, some in measured.items()}

    def _minute(self, number: int) -> Minute:
        points: dict[str, DeploymentPoint] = defaultdict(DeploymentPoint)
        for deployment_id in self._unknown | self._requests.keys():
            points[deployment_id] = DeploymentPoint()
        replicas, gpus = {}, {}
        for (deployment_id, replica_id), used in self._used.items():
            newest = used.newest
            replica = ReplicaPoint(
                used.cpu.value,
                used.memory.value,
                newest.cpus if newest else None,
                newest.memory_gib if newest else None,
            )
            replicas[deployment_id, replica_id] = replica
            _add_to(points[deployment_id], replica)
            for gpu in used.gpu_use.keys() | used.gpu_memory.keys():
                gpus[deployment_id, replica_id, gpu] = GpuPoint(
                    used.gpu_use[gpu].value, used.gpu_memory[gpu].value
                )
        for deployment_id, cores in self._cores().items():
            points[deployment_id].cpu_cores = cores
        is_whole = self._counted_by >= self._edges
        if is_whole and (self._counted_by or self._carried.has_reports):
            self._add_in_flight(points)
        has_requests = is_whole and bool(self._counted_by)
        if has_requests:
            for deployment_id in points.keys() - self._unknown:
                point, sums = points[deployment_id], self._requests.get(deployment_id, [0, 0, 0, 0])
                point.answered, point.unanswered, point.server_errors, point.duration_us = map(float, sums)
        counted = {name: (sums[0], sums[1], sums[2], sums[3]) for name, sums in self._requests.items()}
        return Minute(number, has_requests, dict(points), replicas, gpus, counted, self._trail.taken)

    def _add_in_flight(self, points: dict[str, DeploymentPoint]) -> None:
        known, unknown = self._carried.known(), self._carried.unknown(self._counted_by, self._called)
        for deployment_id in points.keys() | known.keys() | unknown:
            point = points[deployment_id]
            if deployment_id not in unknown:
                point.in_flight, point.in_flight_most = known.get(deployment_id, (0.0, 0.0))


def _cores_together(some: Collection[_Used]) -> float:
    """Each counts for as long as it was there. All together were there for a minute at most, unless one was
    for longer: a slow source tells of the same time in windows that begin apart."""
    longest = max(one.end - one.begin for one in some)
    together = max(one.end for one in some) - min(one.begin for one in some)
    used = sum(one.core_s / one.covered_s * (one.end - one.begin) for one in some)
    return used / max(longest, min(together, MINUTE_S))


def _add_to(point: DeploymentPoint, replica: ReplicaPoint) -> None:
    point.replicas = (point.replicas or 0.0) + 1
    if replica.memory_bytes is not None:
        point.memory_bytes = (point.memory_bytes or 0.0) + replica.memory_bytes
