"""When a leaving replica may be withdrawn. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.common.events.traffic import WithdrawReason
from services.router.routing import Leaving

IDLE_FOR = timedelta(milliseconds=100)
"""How far apart the two idle reads are.

One read is not enough. An acknowledgement says that Envoy's main thread has taken the change in; its workers
follow within a turn of their loops. And a request that still waits for its connection to open is not yet
counted as active. Both are over long before the second read.
"""


@dataclass(frozen=True, slots=True)
class EnvoyReading:
    """What one connected Envoy is known to do with a deployment.

    has_acknowledged: it routes by the present endpoints. active_requests: by address; None if it could not
    be read. An address that is not in it has no endpoint there and so no request.
    """

    has_acknowledged: bool
    active_requests: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Drain:
    """How far one leaving replica is.

    acknowledged_at: since when every Envoy sends it nothing new. idle_since: the first of the idle reads
    that no busy or missing one has followed. active_requests: at the last read.
    """

    acknowledged_at: datetime | None = None
    idle_since: datetime | None = None
    active_requests: int = 0


def observe(drain: Drain, leaving: Leaving, readings: Sequence[EnvoyReading], now: datetime) -> Drain:
    """The drain after one look at all connected Envoys.

    | Envoys | acknowledged | requests        | acknowledged_at | idle_since      |
    |--------|--------------|-----------------|-----------------|-----------------|
    | none   | -            | -               | None            | None            |
    | some   | not by all   | -               | None            | None            |
    | some   | by all       | some unreadable | first such look | None            |
    | some   | by all       | some active     | first such look | None            |
    | some   | by all       | none active     | first such look | first such look |

    Without an Envoy it is unknown what still runs, and unknown is not zero.
    """
    if not readings or not all(reading.has_acknowledged for reading in readings):
        return Drain()
    acknowledged_at = drain.acknowledged_at or now
    counts = [
        reading.active_requests.get(leaving.address, 0) if leaving.address else 0
        for reading in readings
        if reading.active_requests is not None
    ]
    if leaving.address and len(counts) < len(readings):
        return Drain(acknowledged_at, None, drain.active_requests)
    active = sum(counts)
    return Drain(acknowledged_at, None if active else drain.idle_since or now, active)


def decide(drain: Drain, *, now: datetime, deadline: timedelta) -> WithdrawReason | None:
    """Whether a replica may be withdrawn, and why; None while it may not.

    | acknowledged_at        | idle_since          | decision       |
    |------------------------|---------------------|----------------|
    | None                   | -                   | None           |
    | known                  | IDLE_FOR ago        | idle           |
    | `deadline` ago         | later, or None      | drain_deadline |
    | later                  | later, or None      | None           |
    """
    if drain.acknowledged_at is None:
        return None
    if drain.idle_since is not None and now - drain.idle_since >= IDLE_FOR:
        return WithdrawReason.IDLE
    if now - drain.acknowledged_at >= deadline:
        return WithdrawReason.DEADLINE
    return None
