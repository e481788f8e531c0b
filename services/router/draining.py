"""When a leaving replica may be withdrawn. Pure; every time is in seconds of a clock that nobody can set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from libs.common.events.traffic import WithdrawReason
from services.router.routing import Leaving

IDLE_FOR_S: Final = 0.1
"""How far apart the two idle reads are.

One read is not enough. An acknowledgement says that Envoy's main thread has taken the change in; its workers
follow within a turn of their loops. And a request that still waits for its connection to open is not yet
counted as active. Both are over long before the second read.
"""

PATIENCE_S: Final = 15.0
"""How long an Envoy may leave unacknowledged what another has acknowledged; then it counts as away.

So an Envoy that hangs delays a withdrawal by this much at most. What it still sends to the replica is tried
elsewhere, as after any other death.
"""


@dataclass(frozen=True, slots=True)
class Situation:
    """What one observation shows of everything that may send requests to a deployment."""

    acknowledged: tuple[bool, ...]
    """For each Envoy that may be serving: whether it routes by the present endpoints. An Envoy that has left
    a moment ago, and may still serve by what it had, is one that has not."""
    active_requests: Mapping[str, int] | None
    """Requests by address; None if they could not be read. An address that is not in it has no endpoint and
    so no request."""


@dataclass(frozen=True, slots=True)
class Drain:
    """How far one leaving replica is."""

    begun_at: float | None = None
    """Since when at least one Envoy sends it nothing new."""
    acknowledged_at: float | None = None
    """Since when all that count do."""
    idle_since: float | None = None
    """The first of the idle reads that no busy or missing one has followed."""
    active_requests: int = 0
    """How many requests were active at the last read."""


def observe(drain: Drain, leaving: Leaving, situation: Situation, now: float) -> Drain:
    """The drain after one situation.

    | acknowledged by           | requests   | begun_at        | acknowledged_at | idle_since      |
    |---------------------------|------------|-----------------|-----------------|-----------------|
    | none                      | -          | None            | None            | None            |
    | some, begun lately        | -          | first such look | None            | None            |
    | all, or some for PATIENCE | unreadable | first such look | first such look | None            |
    | all, or some for PATIENCE | active     | first such look | first such look | None            |
    | all, or some for PATIENCE | none       | first such look | first such look | first such look |

    Without an Envoy it is unknown what still runs, and unknown is not zero.
    """
    if not any(situation.acknowledged):
        return Drain()
    begun_at = now if drain.begun_at is None else drain.begun_at
    if not all(situation.acknowledged) and now - begun_at < PATIENCE_S:
        return Drain(begun_at)
    acknowledged_at = now if drain.acknowledged_at is None else drain.acknowledged_at
    if leaving.address is None:
        active = 0
    elif situation.active_requests is None:
        return Drain(begun_at, acknowledged_at, None, drain.active_requests)
    else:
        active = situation.active_requests.get(leaving.address, 0)
    if active:
        return Drain(begun_at, acknowledged_at, None, active)
    return Drain(begun_at, acknowledged_at, now if drain.idle_since is None else drain.idle_since)


def decide(drain: Drain, *, now: float, deadline_s: float) -> WithdrawReason | None:
    """Whether a replica may be withdrawn, and why; None while it may not.

    | acknowledged_at        | idle_since          | decision       |
    |------------------------|---------------------|----------------|
    | None                   | -                   | None           |
    | known                  | IDLE_FOR ago        | idle           |
    | the deadline ago       | later, or None      | drain_deadline |
    | later                  | later, or None      | None           |
    """
    if drain.acknowledged_at is None:
        return None
    if drain.idle_since is not None and now - drain.idle_since >= IDLE_FOR_S:
        return WithdrawReason.IDLE
    if now - drain.acknowledged_at >= deadline_s:
        return WithdrawReason.DEADLINE
    return None
