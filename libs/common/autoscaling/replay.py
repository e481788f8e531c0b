"""A policy tried on recorded minutes, through the same functions that the autoscaler decides by. Pure.

A minute is what all replicas did together in it. What another number of replicas would have done
differently is assumed, not known (`ASSUMPTIONS`). One decision is made at the end of each minute, and every
15 s while the number moves, since the rates of a policy are that fine.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from libs.common.scaling.hpa import decide_hpa
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.hpa_policy import DurationMetric, HpaPolicy, Measured, Metric
from libs.common.scaling.in_flight import InFlightMemory, InFlightPolicy, decide_in_flight
from libs.common.scaling.replicas import Bounds, Phase, Replica, Resource, Sample
from libs.common.scaling.request_duration import RequestDuration
from libs.common.spec.model import Autoscaling
from libs.common.spec.scaling_policy import policy_of

MINUTE_S: Final = 60
TICK_S: Final = 15
BEFORE_S: Final = 86_400.0
"""So long before the first minute the replicas of the beginning are taken to have been ready."""

_ASSUMED: Final = (
    "the CPU time of all replicas together and the requests in flight are as they were, whatever the number",
    "memory and the duration of requests are for each replica as they were",
    "durations are as they were with any number, so a policy by them is shown to add or remove too many",
    "a new replica is ready at once",
    "100 % is what the machine type of the newest spec gives",
)
ASSUMPTIONS: Final = (
    *_ASSUMED,
    "a minute has its average, and its highest second where a burst of requests in flight is looked for",
    "a minute of which nothing is known changes no number",
)
OF_SAMPLES: Final = (
    *_ASSUMED,
    "the memory of a new replica is known as soon after its start as it was of those that were added",
    "a time of which nothing is known changes no number",
)
"""Where each sample is looked at as it was recorded."""


@dataclass(frozen=True, slots=True)
class LoadMinute:
    """at: its end, in seconds since 1970. None: not known.

    cpu_cores, in_flight: of all replicas together, on average. in_flight_most: the highest of its seconds.
    memory_bytes: of each replica, on average. answered, duration_us: of its requests, the second summed up.
    """

    at: float
    cpu_cores: float | None = None
    memory_bytes: float | None = None
    answered: float | None = None
    duration_us: float | None = None
    in_flight: float | None = None
    in_flight_most: float | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """What 100 % of a replica is."""

    cpus: float
    memory_bytes: float


def replay(
    autoscaling: Autoscaling,
    minutes: Sequence[LoadMinute],
    *,
    floor: int,
    begin: int,
    capacity: Capacity,
    request_window_s: float,
) -> list[int]:
    """The number in force at the end of each minute. begin: the number before the first of them.

    minutes: one after the other, without a gap. Raises ValueError for what no spec can have.
    """
    bounds = Bounds(floor, max(floor, autoscaling.max_replicas))
    if not autoscaling.enabled:
        return [floor] * len(minutes)
    policy = policy_of(autoscaling, request_window_s=request_window_s)
    begin = bounds.clamp(begin)
    if isinstance(policy, InFlightPolicy):
        return list(_by_requests_in_flight(policy, minutes, bounds, begin))
    if not minutes:
        return []
    fleet = Fleet.ready_before(minutes[0].at, begin, capacity)
    return list(_by_metrics(policy, minutes, bounds, fleet))


@dataclass(slots=True)
class Fleet:
    """Replicas that share the load evenly. since: when each was ready, the oldest first."""

    capacity: Capacity
    since: list[float]
    replicas: tuple[Replica, ...] = field(init=False)

    @classmethod
    def ready_before(cls, at: float, size: int, capacity: Capacity) -> Self:
        """So many, ready for long at that time."""
        return cls(capacity, [at - BEFORE_S] * size)

    def __post_init__(self) -> None:
        self._make()

    @property
    def size(self) -> int:
        return len(self.since)

    def resize(self, size: int, now: float) -> None:
        self.since = self.since[:size] + [now] * (size - len(self.since))
        self._make()

    def _make(self) -> None:
        requests = {
            Resource.CPU: round(self.capacity.cpus * 1000),
            Resource.MEMORY: round(self.capacity.memory_bytes),
        }
        self.replicas = tuple(
            Replica(str(number), Phase.RUNNING, at - BEFORE_S, True, at, requests=requests)
            for number, at in enumerate(self.since)
        )

    def samples(
        self,
        *,
        cpu_cores: float | None,
        memory_bytes: float | None,
        window_s: float,
        measured: float = 1.0,
    ) -> dict[Resource, dict[str, Sample]]:
        """As if they were measured now: cores of all together, and bytes of each. measured: the part of them,
        the oldest, of which the memory is known."""
        found = {}
        if cpu_cores is not None and self.size:
            each = Sample(round(cpu_cores * 1000 / self.size), window_s=window_s)
            found[Resource.CPU] = {replica.id: each for replica in self.replicas}
        if memory_bytes is not None:
            each = Sample(round(memory_bytes), window_s=window_s)
            count = max(1, round(self.size * min(1.0, measured)))
            found[Resource.MEMORY] = {replica.id: each for replica in self.replicas[:count]}
        return found


def _by_metrics(
    policy: HpaPolicy, minutes: Sequence[LoadMinute], bounds: Bounds, fleet: Fleet
) -> Iterator[int]:
    memory = HpaMemory()
    requests = _Requests(policy.request_window_s)
    ticks = 1
    for load in minutes:
        requests.take(load)
        has_moved = False
        duration, size = requests.duration, fleet.size
        for tick in reversed(range(ticks)):
            now = load.at - tick * TICK_S
            # Its one value answers for all of the minute: those that came within it share what there was.
            each = None if load.memory_bytes is None else load.memory_bytes * size / max(1, fleet.size)
            decision = decide_hpa(
                policy,
                bounds=bounds,
                current=fleet.size,
                replicas=fleet.replicas,
                measured=Measured(
                    fleet.samples(cpu_cores=load.cpu_cores, memory_bytes=each, window_s=MINUTE_S),
                    duration,
                ),
                memory=memory,
                now=now,
            )
            memory = decision.memory
            if decision.replicas != fleet.size:
                fleet.resize(decision.replicas, now)
                has_moved = True
        ticks = MINUTE_S // TICK_S if has_moved else 1
        yield fleet.size


@dataclass(slots=True)
class _Requests:
    """How long the requests of the last window took. A minute of which nothing is known begins it anew."""

    window_s: float
    _kept: deque[tuple[float, float]] = field(default_factory=deque)
    duration: RequestDuration | None = None

    def take(self, load: LoadMinute) -> None:
        if load.answered is None or load.duration_us is None:
            self._kept.clear()
            self.duration = None
            return
        self._kept.append((load.answered, load.duration_us))
        while len(self._kept) > max(1, math.ceil(self.window_s / MINUTE_S)):
            self._kept.popleft()
        self.duration = RequestDuration(
            sum_us=round(sum(one[1] for one in self._kept)),
            answered=round(sum(one[0] for one in self._kept)),
            measured_s=len(self._kept) * MINUTE_S,
        )


def _by_requests_in_flight(
    policy: InFlightPolicy, minutes: Sequence[LoadMinute], bounds: Bounds, begin: int
) -> Iterator[int]:
    memory = InFlightMemory()
    current = begin
    kept: deque[float] = deque(maxlen=max(1, round(policy.window_s / MINUTE_S)))
    for load in minutes:
        if load.in_flight is None:
            kept.clear()
        else:
            kept.append(load.in_flight)
        decision = decide_in_flight(
            policy,
            bounds=bounds,
            current=current,
            stable=sum(kept) / len(kept) if kept else None,
            panic=load.in_flight if load.in_flight_most is None else load.in_flight_most,
            ready=current,
            memory=memory,
            now=load.at,
        )
        memory, current = decision.memory, decision.replicas
        yield current


def minutes_above_target(
    numbers: Sequence[int],
    loads: Sequence[LoadMinute],
    autoscaling: Autoscaling,
    capacity: Capacity,
    *,
    each_s: int = MINUTE_S,
) -> int:
    """In which some metric was above its target with so many replicas, each begun one whole.

    loads: of `each_s` seconds each.
    """
    policy = policy_of(autoscaling)
    above = sum(
        _is_above(policy, load, number, capacity) for load, number in zip(loads, numbers, strict=True)
    )
    return math.ceil(above * each_s / MINUTE_S)


def _is_above(policy: HpaPolicy | InFlightPolicy, load: LoadMinute, number: int, capacity: Capacity) -> bool:
    if isinstance(policy, InFlightPolicy):
        room = number * policy.target * policy.target_utilization_percent / 100
        return load.in_flight is not None and load.in_flight > room
    return any(_ratio(metric, load, number, capacity) > 1 for metric in policy.metrics)


def _ratio(metric: Metric, load: LoadMinute, number: int, capacity: Capacity) -> float:
    """Of what was measured to the target; 0 where nothing is known."""
    if isinstance(metric, DurationMetric):
        if not load.answered or load.duration_us is None:
            return 0.0
        return load.duration_us / load.answered / metric.target_us
    if metric.resource is Resource.MEMORY:
        return 100 * (load.memory_bytes or 0.0) / capacity.memory_bytes / metric.target_percent
    if number == 0:
        return math.inf if load.cpu_cores else 0.0
    return 100 * (load.cpu_cores or 0.0) / (number * capacity.cpus) / metric.target_percent
