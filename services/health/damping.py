"""How long a replica that changes again and again has to stay ready before that counts. Pure.

Each change is a fact that is kept for ever, and moves traffic. That it is not ready always counts at once.

| it is ready no longer, its process ends, or why it   | has to stay ready for              |
| is not ready changes                                 |                                    |
|------------------------------------------------------|------------------------------------|
| it was ready for the last 30 minutes                 | 0 s                                |
| fewer than six changes in the last ten minutes,      | as before                          |
| becoming ready among them                            |                                    |
| six or more                                          | 10 s, or as before if that is more |
| it was ready, and had had to stay so before          | twice as long, at most 5 minutes   |

A crash is one change, however it is seen: a check fails or the cluster takes its readiness from it, then its
process ends, then the next one is not ready for this reason or that. So these are none:

- the end of a process that was not ready any more;
- why one that has not been ready yet is not;
- another reason that is told within 5 s of a change: the cluster's word for it comes later than the change.

Whoever restarts knows all of this from the roster but since when the checks succeed: that counts anew.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from libs.common.back_off import BackOff
from libs.common.events.replica import Replica, ReplicaState
from libs.common.events.text import bounded
from libs.common.state.replica import Roster
from services.health import pacing
from services.health.changes import changed
from services.health.examination import Conclusion, Ready

CHANGES: Final = 6
WITHIN: Final = timedelta(minutes=10)
STAY: Final = BackOff(10, 300)
"""How long it has to stay ready: at first, and as it goes on."""
FORGIVEN_AFTER: Final = timedelta(minutes=30)

EXPLAINED_WITHIN: Final = timedelta(seconds=5)

_UNSTEADY: Final = "unsteady: "


def gained(known: Replica, now: datetime) -> Replica:
    """The replica as it is remembered when it counts as ready from now on."""
    return changed(known, changed_at=_recent(known, now))


def lost(known: Replica, now: datetime, message: str) -> Replica:
    """The replica as it is remembered when it is not ready, for the reason that the message says; at once."""
    was_ready = known.state is ReplicaState.RUNNING
    if was_ready and (not known.changed_at or now - known.changed_at[-1] >= FORGIVEN_AFTER):
        return changed(known, changed_at=(now,), must_stay_ready_s=0, message=message)
    recent = _recent(known, now)
    must_s = known.must_stay_ready_s
    if was_ready and must_s > 0:
        must_s = int(STAY.next_s(must_s))
    elif len(recent) >= CHANGES and known.ready_at is not None:
        must_s = max(must_s, int(STAY.first_s))
    return changed(known, changed_at=recent, must_stay_ready_s=must_s, message=told(message, must_s))


def ended(known: Replica, now: datetime, message: str) -> Replica:
    """The replica as it is remembered when its process has ended."""
    if known.state is ReplicaState.UNREADY:
        return changed(known, message=told(message, known.must_stay_ready_s))
    return lost(known, now, message)


def explained(known: Replica, now: datetime, message: str) -> Replica:
    """The replica as it is remembered when it is not ready as before, and the message says why."""
    has_just_changed = bool(known.changed_at) and timedelta() <= now - known.changed_at[-1] < EXPLAINED_WITHIN
    if known.state is ReplicaState.STARTING or has_just_changed:
        return changed(known, message=told(message, known.must_stay_ready_s))
    return lost(known, now, message)


def told(message: str, must_stay_ready_s: int) -> str:
    """The message of a replica that is not ready. What it has to wait for comes first and is never cut."""
    if must_stay_ready_s == 0 or message.startswith(_UNSTEADY):
        return bounded(message)
    return bounded(f"{_UNSTEADY}counts again once it has stayed ready for {must_stay_ready_s} s; {message}")


def counts_in_s(known: Replica, conclusion: Ready) -> float:
    """For how long the readiness that the checks see does not count yet; 0 when it does."""
    if known.state is ReplicaState.RUNNING:
        return 0.0
    return max(0.0, known.must_stay_ready_s - conclusion.lasted_s)


def held(
    roster: Roster, conclusions: Mapping[tuple[str, int], Conclusion], now: datetime
) -> dict[tuple[str, int], float]:
    """The processes of which something may be known and is not told yet, with the seconds until it will be.

    They are those that are ready by their checks and do not count yet, and those that have changed too often.
    """
    found = {}
    for replica in roster.replicas:
        if (wait_s := pacing.wait_s(replica, now)) > 0:
            found[replica.replica_id, replica.attempt] = wait_s
    for (replica_id, attempt), conclusion in conclusions.items():
        known = roster.get(replica_id)
        if isinstance(conclusion, Ready) and known is not None and known.state is not ReplicaState.RUNNING:
            wait_s = max(counts_in_s(known, conclusion), pacing.wait_s(known, now, for_readiness=True))
            if wait_s > 0:
                found[replica_id, attempt] = wait_s
    return found


def _recent(known: Replica, now: datetime) -> tuple[datetime, ...]:
    """A time that is still to come was taken before the clock was set back, and says nothing."""
    return (*(at for at in known.changed_at if timedelta() <= now - at < WITHIN), now)[-CHANGES:]
