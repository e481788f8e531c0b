"""Which replicas have to be replaced elsewhere, and when they may leave. Pure.

The cluster says of which replica something is the matter with its node. From then on it does not count
towards what its run has to have, so another one is made, and it goes on serving until that one is ready.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from libs.common.cluster.port import ReplicaPhase
from libs.common.events.replica import ReplicaReason
from libs.common.events.rollout import Move, MoveReason
from services.reconciler.retiring import Staying

MOVE_S: Final = 600.0
"""How long there may be no place for the replacement before a node that ends is left without one."""
MOST_AT_ONCE: Final = 256
"""Moves of one deployment: a fact has at most 64 KiB. The rest follows."""


def decide_moves(
    recorded: Sequence[Move], staying: Sequence[Staying], goals: Mapping[str, int], now: datetime
) -> dict[str, Move]:
    """Who is to be replaced elsewhere, by replica: all that were, and those that have to now.

    goals: by run, how many replicas it has to have; nobody is replaced in a run that is missing here.
    """
    here = {s.observed.replica_id: s for s in staying if goals.get(s.observed.run_id)}
    moves = {move.replica_id: move for move in recorded if move.replica_id in here}
    for replica_id, one in here.items():
        reason = one.observed.must_move
        if reason is not None and replica_id not in moves and len(moves) < MOST_AT_ONCE:
            replicas = goals[one.observed.run_id]
            moves[replica_id] = Move(replica_id=replica_id, reason=reason, since=now, replicas=replicas)
    return moves


def decide_departures(
    moves: Mapping[str, Move],
    staying: Sequence[Staying],
    goals: Mapping[str, int],
    *,
    now: datetime,
    move_s: float,
) -> frozenset[str]:
    """Which of the replicas that are to be replaced elsewhere leave now.

    | others of its run  | its node                         | it             |
    |--------------------|----------------------------------|----------------|
    | enough are ready   | any                              | leaves         |
    | too few are ready  | any                              | stays          |
    | too few are placed | ends, and `move_s` have gone by  | leaves         |

    Each one that is ready lets one go: first those that serve nobody, then the youngest. So no more leave
    than have been replaced, but for those that would be lost anyway.
    """
    leaving: set[str] = set()
    for run_id, goal in goals.items():
        ours = [s for s in staying if s.observed.run_id == run_id]
        others = [s for s in ours if s.observed.replica_id not in moves]
        oldest_first = sorted(
            (s for s in ours if s.observed.replica_id in moves),
            key=lambda s: (s.observed.created_at, s.observed.replica_id),
        )
        movers = sorted(oldest_first, key=lambda s: (not s.is_ready, not s.was_ready))
        needed = max(0, goal - sum(s.is_ready for s in others))
        unplaced = max(0, goal - sum(_is_placed(s) for s in others))
        overdue = [s for s in movers[:needed] if _is_overdue(s, moves, now, move_s)]
        leaving |= {s.observed.replica_id for s in movers[needed:]}
        leaving |= {s.observed.replica_id for s in overdue[max(0, len(overdue) - unplaced) :]}
    return frozenset(leaving)


def _is_placed(one: Staying) -> bool:
    """Whether it has a node, as far as is known."""
    is_pending = one.observed.phase is ReplicaPhase.PENDING
    return not (is_pending and one.observed.reason is ReplicaReason.UNSCHEDULABLE)


def _is_overdue(one: Staying, moves: Mapping[str, Move], now: datetime, move_s: float) -> bool:
    """Only an end that is still announced is one: a mark that was taken away announces nothing."""
    since = moves[one.observed.replica_id].since
    return one.observed.must_move is MoveReason.NODE_ENDS and now - since >= timedelta(seconds=move_s)
