"""What the average duration of requests proposes. Pure.

It is a value proposal with three rules of our own, because a duration is no use of a replica: it falls only
once more replicas serve, and the average goes on telling of the time before for a whole window.

| what is known                                          | proposal                            |
|--------------------------------------------------------|-------------------------------------|
| nothing was measured                                   | unknown                             |
| no replica serves                                      | unknown: nobody could have answered |
| measured, and no request was answered                  | as for a duration of 0              |
| fewer than `current` have been ready, or measuring has | at most `current`                   |
| gone on, for less than a whole window                  |                                     |
| too slow, and fewer serve than `current`               | at least `current`: never down      |
| fast enough, and more serve than `current`             | at most `current`                   |
| otherwise                                              | the value proposal                  |

So a deployment that stays too slow goes 1 -> 2 -> 3 with a window between, also where a model loads for
longer than the window.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from libs.common.scaling.proposals import Proposal, Tolerance, Unknown
from libs.common.scaling.value_proposal import TOLERANCE, propose_value

REQUEST_WINDOW_S = 300.0


@dataclass(frozen=True, slots=True)
class RequestDuration:
    """What was measured over the last window, of all replicas together. Raises ValueError for less than
    nothing."""

    sum_us: int
    """Microseconds from a request's first byte to its answer's last, added up over the answered
    requests."""
    answered: int
    measured_s: float = REQUEST_WINDOW_S
    """How long there has been measuring without a gap; longer than the window is the same as the window."""

    def __post_init__(self) -> None:
        if self.sum_us < 0 or self.answered < 0:
            raise ValueError(f"{self.sum_us} us of {self.answered} requests: neither may be below 0")

    @property
    def average_us(self) -> int:
        return self.sum_us // self.answered if self.answered else 0


def propose_duration(
    measured: RequestDuration | None,
    *,
    target_us: int,
    ready_since: Sequence[float],
    current: int,
    now: float,
    window_s: float = REQUEST_WINDOW_S,
    tolerance: Tolerance = TOLERANCE,
) -> Proposal | Unknown:
    """ready_since: for each replica that serves, since when. Raises ValueError for a target that is not
    above 0."""
    if measured is not None and not ready_since:
        return Unknown.NO_READY_REPLICAS
    value = None if measured is None else measured.average_us
    proposal = propose_value(
        value, target=target_us, ready=len(ready_since), current=current, tolerance=tolerance
    )
    if isinstance(proposal, Unknown) or measured is None or current == 0:
        return proposal
    is_whole = measured.measured_s >= window_s and ready_for_s(ready_since, current, now=now) >= window_s
    lowest = current if proposal.ratio > 1.0 else 0
    highest = proposal.replicas if is_whole and proposal.ratio > 1.0 else current
    replicas = max(min(proposal.replicas, highest), lowest)
    return proposal if replicas == proposal.replicas else replace(proposal, replicas=replicas, is_held=True)


def ready_for_s(ready_since: Sequence[float], replicas: int, *, now: float) -> float:
    """For how long at least that many have served without a break; 0 where fewer do. replicas: at least
    1."""
    return now - sorted(ready_since)[replicas - 1] if len(ready_since) >= replicas else 0.0
