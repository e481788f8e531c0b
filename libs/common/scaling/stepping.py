"""How a deployment that scales by requests in flight shrinks: step by step, with a delay before each. Pure.

The excess is what the present number is above the proposal. A step removes max(1, excess x rate, rounded
down).

| proposal      | since when below it    | replicas              | below since   |
|---------------|------------------------|-----------------------|---------------|
| unknown       | any                    | current               | not: it might |
|               |                        |                       | need them     |
| >= current    | any                    | the proposal          | not           |
| below current | not yet                | as below, from now on | now           |
| below current | shorter than `delay_s` | current               | as before     |
| below current | at least `delay_s`     | current - a step      | now           |

So with 50 % an excess goes 8 -> 4 -> 2 -> 1 -> 0, a whole delay before each, and load that comes back
within the delay removes nothing and starts the delay anew.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    replicas: int
    last_step: float | None
    """Where the delay before the next step begins: the last step, or when the load fell. None: no delay
    runs."""


def step_down(
    current: int,
    proposal: int | None,
    *,
    rate_percent: float,
    delay_s: float,
    last_step: float | None,
    now: float,
) -> Step:
    """proposal: what the load needs, not below the floor; None is unknown. last_step: of the step before.

    Raises ValueError for a rate outside above 0 to 100.
    """
    if not 0 < rate_percent <= 100:
        raise ValueError(f"rate_percent is {rate_percent}: it must be above 0 and at most 100")
    if proposal is None:
        return Step(current, None)
    if proposal >= current:
        return Step(proposal, None)
    began = now if last_step is None else last_step
    if now - began < delay_s:
        return Step(current, began)
    excess = current - proposal
    return Step(current - max(1, math.floor(excess * rate_percent / 100)), now)
