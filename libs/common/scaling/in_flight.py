"""How many replicas a deployment needs that scales by requests in flight. Pure.

The parts are published, their composition is our own.

    needed = requests in flight / (target x utilisation), rounded up

| what                | by                                                                                |
|---------------------|-----------------------------------------------------------------------------------|
| how many are needed | the stable and panic windows of `decide_concurrency`, without its own limits down |
| the bounds          | the need is clamped to them first, so a step never leads below the minimum        |
| up                  | at once, to the need                                                              |
| down                | `step_down`: a part of the excess, a whole delay before each step                 |
| nothing measured    | the number stays, and the delay starts anew                                       |
"""

import math
from dataclasses import dataclass, field, replace

from libs.common.scaling.concurrency import (
    ConcurrencyDecision,
    ConcurrencyMemory,
    ConcurrencyPolicy,
    decide_concurrency,
)
from libs.common.scaling.replicas import Bounds
from libs.common.scaling.stepping import Step, step_down

PANIC_WINDOW_PART = 0.1
"""The panic window is this part of the stable one."""


@dataclass(frozen=True, slots=True)
class InFlightPolicy:
    """Raises ValueError outside the ranges."""

    target: int = 1
    """Requests in flight of one replica that is full. At least 1."""
    target_utilization_percent: float = 70
    """How full a replica should be. 1 to 100."""
    window_s: float = 60
    """What requests in flight are averaged over. 10 to 3600."""
    scale_down_delay_s: float = 900
    """0 to 3600."""
    max_scale_down_rate_percent: float = 50
    """1 to 50."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("target", 1, math.inf),
            ("target_utilization_percent", 1, 100),
            ("window_s", 10, 3600),
            ("scale_down_delay_s", 0, 3600),
            ("max_scale_down_rate_percent", 1, 50),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be {least} to {most}")

    @property
    def panic_window_s(self) -> float:
        return self.window_s * PANIC_WINDOW_PART

    @property
    def published(self) -> ConcurrencyPolicy:
        """What it is in the published algorithm. Limits down are off: `step_down` has those."""
        return ConcurrencyPolicy(
            target=self.target * self.target_utilization_percent / 100,
            total=self.target,
            stable_window_s=self.window_s,
            max_scale_down_rate=math.inf,
            target_burst_capacity=0,
        )


@dataclass(frozen=True, slots=True)
class InFlightMemory:
    concurrency: ConcurrencyMemory = field(default_factory=ConcurrencyMemory)
    last_step: float | None = None


@dataclass(frozen=True, slots=True)
class InFlightDecision:
    replicas: int
    memory: InFlightMemory
    concurrency: ConcurrencyDecision
    needed: int | None
    """Within the bounds; None: nothing is known."""
    step: Step


def decide_in_flight(
    policy: InFlightPolicy,
    *,
    bounds: Bounds,
    current: int,
    stable: float | None,
    panic: float | None,
    ready: int | None,
    memory: InFlightMemory,
    now: float,
    is_rolling_out: bool = False,
) -> InFlightDecision:
    """current: the number in force. stable, panic: average requests in flight over `window_s` and
    `panic_window_s`; None is no data. While a new run comes up the number does not fall."""
    current = bounds.clamp(current)
    concurrency = decide_concurrency(
        policy.published, stable=stable, panic=panic, ready=ready, memory=memory.concurrency, now=now
    )
    needed = None if concurrency.replicas is None else bounds.clamp(concurrency.replicas)
    step = step_down(
        current,
        needed if needed is None or not is_rolling_out else max(needed, current),
        rate_percent=policy.max_scale_down_rate_percent,
        delay_s=policy.scale_down_delay_s,
        last_step=memory.last_step,
        now=now,
    )
    memory = replace(memory, concurrency=concurrency.memory, last_step=step.last_step)
    return InFlightDecision(step.replicas, memory, concurrency, needed, step)
