"""How many events a replica may write that changes again and again, whatever it does. Pure.

Each change is a fact that is kept for ever, with a page of the roster. So what a replica may write is counted
like what flows into a bucket with a hole: each event fills it for `EACH`, and what finds it too full is told
later, all of it at once, as it is then.

| what is to be told                    | is told while the bucket holds at most |
|---------------------------------------|----------------------------------------|
| it was ready, and is not              | whatever it holds                      |
| it was told to stop                   | whatever it holds                      |
| it is ready                           | 24 events                              |
| its process, or why it is not ready   | 16 events                              |

In an hour 75 events flow out. So at most 120 are written: those, a bucket of 24, 6 on top of it (a readiness
with the restart before it, and its loss), and 12 for how a replica begins and ends. Its begin is not counted,
since it does not come again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from libs.common.events.replica import Replica, ReplicaBecameReady, ReplicaFact, ReplicaState
from services.health.changes import changed

EACH: Final = timedelta(seconds=48)
"""How long an event takes to flow out."""
FULL_FOR_READINESS: Final = 24
FULL: Final = 16
_MOST: Final = 2 * FULL_FOR_READINESS
"""More than was ever in a bucket: whoever reads that reads it by a clock that was set back."""


def paced(before: Replica, facts: Sequence[ReplicaFact], now: datetime) -> list[ReplicaFact]:
    """What is told now of what has become of a replica, with what it then has in its bucket; [] for later.

    What is not told is found anew whenever somebody looks.
    """
    full = FULL_FOR_READINESS if facts and isinstance(facts[-1], ReplicaBecameReady) else FULL
    told = list(facts)
    if _held(before, now) > full and not any(_tells_to_stop(fact) for fact in facts):
        told = told[:1] if before.state is ReplicaState.RUNNING else []
    if not told or _is_its_beginning(before, told):
        return told
    after = told[-1].replica
    assert after is not None
    events = len(told) + 1
    begin = now + EACH * _held(before, now)
    counted = changed(after, full_until=begin + EACH * events)
    told[-1] = told[-1].model_copy(update={"replica": counted})
    return told


def wait_s(known: Replica, now: datetime, *, for_readiness: bool = False) -> float:
    """Until there is room in its bucket for its readiness, or for anything; 0 where there is."""
    over = _held(known, now) - (FULL_FOR_READINESS if for_readiness else FULL)
    return max(0.0, EACH.total_seconds() * over)


def _held(known: Replica, now: datetime) -> float:
    """The events in its bucket."""
    if known.full_until is None:
        return 0.0
    events = (known.full_until - now) / EACH
    return events if 0 < events < _MOST else 0.0


def _tells_to_stop(fact: ReplicaFact) -> bool:
    return fact.replica is not None and fact.replica.state is ReplicaState.STOPPING


def _is_its_beginning(before: Replica, facts: Sequence[ReplicaFact]) -> bool:
    """Its process starts, or it is ready for the first time: nothing that could come again."""
    if len(facts) > 1 or facts[0].replica is None:
        return False
    is_first = before.state is ReplicaState.PENDING and facts[0].replica.state is ReplicaState.STARTING
    return is_first or (isinstance(facts[0], ReplicaBecameReady) and not before.changed_at)
