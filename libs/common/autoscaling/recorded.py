"""A policy tried on samples as they were recorded, through the same functions that the autoscaler decides by.
Pure.

It is looked at as often as the autoscaler decides at least: every 15 s, by requests in flight every 2 s.
Before the stretch that is asked about comes a lead: there the number is the one that was in force, and only
what the rules remember is worked out. So the first decisions rest on what the autoscaler had behind it too.

| of the CPU of all replicas together                 | counts as                                        |
|-----------------------------------------------------|--------------------------------------------------|
| a replica that was measured for the first time      | one that used as much as the others              |
| one that is not in the newest batch, whose source   | as before, for one and a half windows, which are |
| may be slow                                         | at least an interval; then it is gone            |
| no batch for three intervals                        | unknown                                          |

The memory of each replica is as it was, and of as large a part of the replicas it is known: of new ones not
until they were measured, so that they do not count as being as full as those that they relieve.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from libs.common.autoscaling.batches import Batches
from libs.common.autoscaling.in_flight_loads import Averages
from libs.common.autoscaling.recorded_in_flight import RecordedInFlight
from libs.common.autoscaling.replay import TICK_S, Capacity, Fleet, LoadMinute
from libs.common.autoscaling.request_counts import RequestCounts
from libs.common.autoscaling.usage import INTERVALS
from libs.common.metrics.port import Received
from libs.common.metrics.samples import Batch, Kind, ReplicaUsage
from libs.common.scaling.behavior import MAX_PERIOD_S
from libs.common.scaling.hpa import decide_hpa
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.hpa_policy import HpaPolicy, Measured
from libs.common.scaling.in_flight import InFlightMemory, InFlightPolicy, decide_in_flight
from libs.common.scaling.limiting import Change
from libs.common.scaling.replicas import Bounds
from libs.common.scaling.request_duration import RequestDuration
from libs.common.spec.model import Autoscaling
from libs.common.spec.scaling_policy import policy_of

IN_FLIGHT_S: Final = 2
SLOW: Final = 1.5
NOTHING: Final = Averages()
LOOK_BACK_S: Final = 90.0
"""So long before the lead samples are read: by then every source has told everything once."""


@dataclass(frozen=True, slots=True)
class Load:
    """What all replicas did together at a time, in seconds since 1970. None: not known. memory_bytes: of each
    replica, on average; measured: of how many. duration: over the window of the policy."""

    at: float
    cpu_cores: float | None = None
    memory_bytes: float | None = None
    measured: int = 0
    duration: RequestDuration | None = None
    averages: Averages = NOTHING

    @property
    def summed(self) -> LoadMinute:
        """As a side is summed up from it."""
        return LoadMinute(
            self.at,
            cpu_cores=self.cpu_cores,
            memory_bytes=self.memory_bytes,
            answered=None if self.duration is None else float(self.duration.answered),
            duration_us=None if self.duration is None else float(self.duration.sum_us),
            in_flight=self.averages.panic,
        )


def step_s(autoscaling: Autoscaling) -> int:
    """How far apart it is looked at."""
    return IN_FLIGHT_S if autoscaling.concurrency is not None else TICK_S


def kinds_for(autoscaling: Autoscaling) -> tuple[Kind, ...]:
    """Of the samples that a policy is tried on."""
    return Kind.IN_FLIGHT if autoscaling.concurrency is not None else Kind.USAGE, Kind.REQUESTS


def lead_s(autoscaling: Autoscaling, *, request_window_s: float) -> float:
    """How far back the rules of a policy look."""
    policy = policy_of(autoscaling, request_window_s=request_window_s)
    if isinstance(policy, InFlightPolicy):
        return policy.window_s + policy.scale_down_delay_s
    return max(policy.longest_window_s, policy.request_window_s)


def loads(
    received: Iterable[Received],
    deployment_id: str,
    autoscaling: Autoscaling,
    *,
    times: Sequence[float],
    request_window_s: float,
    expected: Collection[str] = (),
) -> Iterator[Load]:
    """received: of `kinds_for` the policy, in the order of the stream. times: rising. expected: the edges
    that there are, heard or not."""
    policy = policy_of(autoscaling, request_window_s=request_window_s)
    waiting = iter(received)
    batches, used, counts = Batches(), _Used(), RequestCounts(request_window_s)
    in_flight = RecordedInFlight(deployment_id, policy) if isinstance(policy, InFlightPolicy) else None
    one = next(waiting, None)
    for at in times:
        while one is not None and one.stored_at <= at:
            if batches.take(one.batch, at=one.stored_at):
                if in_flight is not None:
                    in_flight.take(one.batch, at=one.stored_at)
                elif one.batch.kind == Kind.USAGE:
                    used.take(one.batch, at=one.stored_at)
                elif one.batch.kind == Kind.REQUESTS:
                    counts.take(one.batch, at=one.stored_at, wanted=(deployment_id,))
            one = next(waiting, None)
        if in_flight is not None:
            yield Load(at, averages=in_flight.averages(at, expected=expected))
        else:
            duration = counts.measured(deployment_id, now=at, expected=expected)
            yield replace(used.at(at), duration=duration)


@dataclass(slots=True)
class _Used:
    """Of the replicas of one deployment."""

    interval_s: float = 0.0
    heard_at: float | None = None
    told: dict[str, tuple[int, set[str]]] = field(default_factory=dict)
    """The number of each source's newest batch, and the replicas in it."""
    newest: dict[str, tuple[float, ReplicaUsage]] = field(default_factory=dict)

    def take(self, batch: Batch, *, at: float) -> None:
        number, told = self.told.get(batch.source, (0, set()))
        if batch.number != number:
            told = set()
        self.told[batch.source] = batch.number, told
        self.interval_s, self.heard_at = batch.interval_s, at
        for one in batch.usage:
            told.add(one.replica_id)
            self.newest[one.replica_id] = (at, one)

    def at(self, now: float) -> Load:
        if self.heard_at is None or now - self.heard_at > INTERVALS * self.interval_s:
            return Load(now)
        self.newest = {name: one for name, one in self.newest.items() if self._counts(name, *one, now=now)}
        there = [one for _, one in self.newest.values()]
        cores = [one.cpu_cores for one in there if one.cpu_cores is not None]
        memory = [one.memory_bytes for one in there if one.memory_bytes is not None]
        return Load(
            now,
            sum(cores) / len(cores) * len(there) if cores else None,
            sum(memory) / len(memory) if memory else None,
            len(memory),
        )

    def _counts(self, name: str, at: float, one: ReplicaUsage, *, now: float) -> bool:
        if any(name in told for _, told in self.told.values()):
            return True
        return now - at <= SLOW * max(one.window_s, self.interval_s)


def replayed(
    autoscaling: Autoscaling,
    loads: Iterable[Load],
    actual: Sequence[int],
    *,
    lead: int,
    floor: int,
    capacity: Capacity,
    request_window_s: float,
) -> list[int]:
    """The number in force at each time after the lead.

    actual: the number that was in force just before each time. lead: how many of the times are before the
    stretch that is asked about. Raises ValueError for what no spec can have.
    """
    bounds = Bounds(floor, max(floor, autoscaling.max_replicas))
    if not autoscaling.enabled:
        return [floor] * (len(actual) - lead)
    policy = policy_of(autoscaling, request_window_s=request_window_s)
    both = list(zip(loads, actual, strict=True))
    if isinstance(policy, InFlightPolicy):
        return list(_by_requests_in_flight(policy, both, lead, bounds))
    return list(_by_metrics(policy, both, lead, bounds, capacity))


def _by_requests_in_flight(
    policy: InFlightPolicy, loads: Sequence[tuple[Load, int]], lead: int, bounds: Bounds
) -> Iterator[int]:
    memory, current = InFlightMemory(), bounds.minimum
    for number, (load, was) in enumerate(loads):
        current = bounds.clamp(was) if number <= lead else current
        decision = decide_in_flight(
            policy,
            bounds=bounds,
            current=current,
            stable=load.averages.stable,
            panic=load.averages.panic,
            ready=current,
            memory=memory,
            now=load.at,
        )
        memory = decision.memory
        if number >= lead:
            current = decision.replicas
            yield current


def _by_metrics(
    policy: HpaPolicy,
    loads: Sequence[tuple[Load, int]],
    lead: int,
    bounds: Bounds,
    capacity: Capacity,
) -> Iterator[int]:
    if not loads:
        return
    fleet = Fleet.ready_before(loads[0][0].at, bounds.clamp(loads[0][1]), capacity)
    memory = HpaMemory()
    for number, (load, was) in enumerate(loads):
        if number <= lead:
            memory = _resized(fleet, bounds.clamp(was), memory, load.at)
        decision = decide_hpa(
            policy,
            bounds=bounds,
            current=fleet.size,
            replicas=fleet.replicas,
            measured=Measured(
                fleet.samples(
                    cpu_cores=load.cpu_cores,
                    memory_bytes=load.memory_bytes,
                    window_s=TICK_S,
                    measured=load.measured / max(1, was),
                ),
                load.duration,
            ),
            memory=memory,
            now=load.at,
        )
        memory = HpaMemory(decision.memory.recommendations, memory.changes, decision.memory.kept_s)
        if number >= lead:
            memory = _resized(fleet, decision.replicas, memory, load.at)
            yield fleet.size


def _resized(fleet: Fleet, size: int, memory: HpaMemory, at: float) -> HpaMemory:
    """The memory with the change, if it is one."""
    if size == fleet.size:
        return memory
    kept = (one for one in memory.changes if at - one.at <= MAX_PERIOD_S)
    changed = HpaMemory(memory.recommendations, (*kept, Change(size - fleet.size, at)), memory.kept_s)
    fleet.resize(size, at)
    return changed
