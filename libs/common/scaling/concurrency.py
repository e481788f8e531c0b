"""The decision of Knative's KPA, alone, as one function. Pure.

It scales by how many requests are in flight, averaged over a long window (stable) and a short one (panic).

    wanted by a window = average / target, rounded up
    at most              ready x max_scale_up_rate, rounded up
    at least             ready / max_scale_down_rate, rounded down
    at least             the activation scale, where anything is in flight

| panicking                                                     | replicas                                  |
|---------------------------------------------------------------|-------------------------------------------|
| no                                                            | wanted by the stable window               |
| yes: what the panic window wants, before any limit, was at    | the highest that either window has wanted |
| least `panic_threshold` x ready within the last stable window | since the panic began                     |

`scale_down_delay_s` then holds the highest of that time, unless the deployment is not reachable, when
nobody waits for it. No average is no decision: nothing is known, which is not a load of 0.
"""

import math
from dataclasses import dataclass, field, replace

from libs.common.scaling.proposals import require_positive
from libs.common.scaling.window_maximum import MaximumBuckets, record_maximum, window_maximum

TICK_S = 2.0
"""How often the published algorithm decides, and so the granularity of its delay."""


@dataclass(frozen=True, slots=True)
class ConcurrencyPolicy:
    """Raises ValueError for a target that is not above 0, and for a rate below 1."""

    target: float
    """Requests in flight that one replica should have."""
    total: float
    """Requests in flight that one replica can have."""
    stable_window_s: float = 60.0
    target_burst_capacity: float = 211.0
    """Requests in flight that should fit on top of the present ones. 0: none; below 0: without limit."""
    panic_threshold: float = 2.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    scale_down_delay_s: float = 0.0
    is_reachable: bool = True
    activation_scale: int = 1

    def __post_init__(self) -> None:
        require_positive("target", self.target)
        for name in ("max_scale_up_rate", "max_scale_down_rate"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")


@dataclass(frozen=True, slots=True)
class ConcurrencyMemory:
    """What one decision has to know of those before it."""

    panicking_since: float | None = None
    """When the threshold was last reached; None: it does not panic."""
    most_in_panic: int = 0
    """The highest number that was wanted since the panic began."""
    delayed: MaximumBuckets = field(default_factory=lambda: MaximumBuckets(0.0, TICK_S))
    """What was wanted within the scale-down delay."""


@dataclass(frozen=True, slots=True)
class ConcurrencyDecision:
    replicas: int | None
    """None: nothing is known, so nothing is decided."""
    memory: ConcurrencyMemory
    spare_capacity: int = 0
    """How many requests more than the wanted burst fit into the ready replicas; below 0: so many do not."""

    @property
    def is_valid(self) -> bool:
        return self.replicas is not None

    @property
    def panicking_since(self) -> float | None:
        return self.memory.panicking_since


def begun(ready: int | None, *, now: float) -> ConcurrencyMemory:
    """Of whoever remembers nothing: with more than one replica it begins in panic, so that it keeps at
    least those until it has measured for a whole window."""
    known = ready or 0
    return ConcurrencyMemory(panicking_since=now if known > 1 else None, most_in_panic=known)


def decide_concurrency(
    policy: ConcurrencyPolicy,
    *,
    stable: float | None,
    panic: float | None,
    ready: int | None,
    memory: ConcurrencyMemory,
    now: float,
) -> ConcurrencyDecision:
    """stable, panic: the averages over the two windows; None is no data, and what is no number is none
    either. ready: None is not known."""
    if stable is None or panic is None or ready is None or not math.isfinite(stable + panic):
        return ConcurrencyDecision(None, memory)
    counted = max(1, ready)
    wanted_by_panic = math.ceil(panic / policy.target)
    wanted = _wanted(policy, math.ceil(stable / policy.target), counted)
    is_over = wanted_by_panic / counted >= policy.panic_threshold

    since = memory.panicking_since
    if is_over:
        memory = replace(memory, panicking_since=now)
    elif since is not None and now - since > policy.stable_window_s:
        memory = replace(memory, panicking_since=None, most_in_panic=0)
    if memory.panicking_since is not None:
        wanted = max(wanted, _wanted(policy, wanted_by_panic, counted), memory.most_in_panic)
        memory = replace(memory, most_in_panic=wanted)

    replicas, memory = _delayed(policy, wanted, memory, now)
    return ConcurrencyDecision(replicas, memory, _spare_capacity(policy, panic=panic, ready=ready))


def _wanted(policy: ConcurrencyPolicy, needed: int, ready: int) -> int:
    most = math.ceil(policy.max_scale_up_rate * ready)
    least = math.floor(ready / policy.max_scale_down_rate) if policy.is_reachable else 0
    wanted = min(max(needed, least), most)
    is_activated = policy.activation_scale > 1 and needed > 0
    return max(wanted, policy.activation_scale) if is_activated else wanted


def _delayed(
    policy: ConcurrencyPolicy, wanted: int, memory: ConcurrencyMemory, now: float
) -> tuple[int, ConcurrencyMemory]:
    if policy.scale_down_delay_s <= 0:
        return wanted, memory
    delayed = record_maximum(
        replace(memory.delayed, window_s=policy.scale_down_delay_s), at=now, value=wanted
    )
    highest = window_maximum(delayed, now=now)
    replicas = wanted if highest is None or not policy.is_reachable else int(highest)
    return replicas, replace(memory, delayed=delayed)


def _spare_capacity(policy: ConcurrencyPolicy, *, panic: float, ready: int) -> int:
    if policy.target_burst_capacity == 0:
        return 0
    if policy.target_burst_capacity < 0:
        return -1
    return math.floor(ready * policy.total - policy.target_burst_capacity - panic)
