"""From what the cluster shows and what the checks conclude to facts about replicas. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from libs.common.cluster.port import ObservedReplica, ReplicaPhase
from libs.common.events.replica import (
    Replica,
    ReplicaBecameReady,
    ReplicaBecameUnready,
    ReplicaCondemned,
    ReplicaFact,
    ReplicaReason,
    ReplicaRestarted,
    ReplicaStarted,
    ReplicaState,
    ReplicaStopped,
)
from libs.common.events.text import bounded
from libs.common.state.replica import Roster
from services.health.examination import Conclusion, Condemned, NotReady, Ready

MakeFact = Callable[[tuple[Replica, ...]], ReplicaFact]
"""A fact but for the roster after it."""

Conclusions = Mapping[tuple[str, int], Conclusion]
"""What the checks say, by replica_id and attempt; a process that is missing is undecided."""

Started = frozenset[tuple[str, int]]
"""Processes by replica_id and attempt."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one fact leaves of its replica: `after` is None when it is gone for good."""

    after: Replica | None
    make: MakeFact


def decide(
    roster: Roster,
    observed: Sequence[ObservedReplica],
    conclusions: Conclusions,
    *,
    leaving: frozenset[str] = frozenset(),
    started: Started = frozenset(),
    now: datetime,
    limit: int = 32,
) -> list[ReplicaFact]:
    """The facts of one deployment since `roster`, each with the whole roster after it; [] if none.

    leaving: replicas that were asked to go, so that their end is not taken for a loss.
    started: processes whose startup check has succeeded, so that nobody repeats it.
    At most about `limit` facts; the rest follows when it is asked again with the roster of the last one.

    Rows are tried from the top, each on what the row before left, so that a replica that crashed and
    came back between two looks has the same story as one that was watched all along.

    | roster           | cluster shows               | checks        | fact                 | state after |
    |------------------|-----------------------------|---------------|----------------------|-------------|
    | any              | absent                      | -             | ReplicaStopped       | none        |
    | absent           | any phase                   | -             | ReplicaStarted       | of the phase |
    | has a process    | exited or pending, another  | -             | ReplicaStopped       | failed      |
    |                  | attempt, or another address |               |                      |             |
    | pending          | exited, at any attempt      | -             | ReplicaStopped       | failed      |
    | failed           | running, or another attempt | -             | ReplicaRestarted     | starting    |
    |                  | that has ended again        |               |                      |             |
    | pending          | running                     | -             | ReplicaStarted       | starting    |
    | starting         | exited (that other attempt) | -             | ReplicaStopped       | failed      |
    | pending          | pending, with a new message | -             | ReplicaStarted       | pending     |
    | not stopping     | stopping                    | -             | ReplicaBecameUnready | stopping    |
    | condemned        | running                     | any           | none                 | same        |
    | any other        | running                     | condemned     | ReplicaCondemned     | unready     |
    | not ready        | running                     | ready         | ReplicaBecameReady   | running     |
    | running          | running                     | not ready     | ReplicaBecameUnready | unready     |
    | starting/unready | running                     | not ready, of | ReplicaBecameUnready | same        |
    |                  |                             | a new message |                      |             |
    | starting         | running                     | else, startup | ReplicaStarted       | same        |
    |                  |                             | has passed    |                      |             |
    | any              | any                         | undecided     | none                 | same        |
    | has an address   | another address, or none    | -             | ReplicaStarted       | same        |

    Another attempt is a later one, or an earlier one where the cluster's records are older than the log.
    The last row ends what somebody else has written, such as an import: only what the cluster shows counts.
    A message is compared as a fact holds it, bounded; a longer one would be news at every look.
    """
    seen = {o.replica_id for o in observed}
    replicas = {r.replica_id: r for r in roster.replicas}
    facts: list[ReplicaFact] = []

    def add(replica_id: str, changes: Sequence[Change]) -> None:
        for change in changes:
            replicas.pop(replica_id, None)
            if change.after is not None:
                replicas[replica_id] = change.after
            facts.append(change.make(_in_order(replicas.values())))

    for known in roster.replicas:
        if known.replica_id not in seen and len(facts) < limit:
            add(known.replica_id, [_gone(known, is_leaving=known.replica_id in leaving)])
    for o in sorted(observed, key=lambda o: (o.created_at, o.replica_id)):
        if len(facts) < limit:
            add(o.replica_id, _changes(replicas.get(o.replica_id), o, conclusions, started, now))
    return facts


def _in_order(replicas: Iterable[Replica]) -> tuple[Replica, ...]:
    return tuple(sorted(replicas, key=lambda r: (r.created_at, r.replica_id)))


def _gone(known: Replica, *, is_leaving: bool) -> Change:
    if is_leaving or known.state is ReplicaState.STOPPING:
        reason, message = ReplicaReason.STOPPED, "stopped"
    else:
        reason, message = ReplicaReason.LOST, "gone from the cluster"
    return Change(None, _fact(ReplicaStopped, known, reason=reason, message=message))


def _changes(
    known: Replica | None, o: ObservedReplica, conclusions: Conclusions, started: Started, now: datetime
) -> list[Change]:
    """The rows of `decide` for one replica that the cluster shows."""
    if o.message is not None:
        o = replace(o, message=bounded(o.message))
    changes: list[Change] = []

    def now_is(after: Replica, make: MakeFact) -> Replica:
        changes.append(Change(after, make))
        return after

    if known is None:
        known = _appeared(o)
        now_is(known, _fact(ReplicaStarted, known))
    if _has_ended(known, o):
        known = now_is(*_ended(known, o))
    if known.state is ReplicaState.FAILED and _has_begun_again(known, o):
        # The message stays until it is ready again: it is what people look for in a crash loop.
        reason = known.reason or ReplicaReason.EXIT_UNKNOWN
        message = known.message or UNKNOWN_END
        known = _with(_process(known, o), state=ReplicaState.STARTING, condemned_attempt=None)
        now_is(known, _fact(ReplicaRestarted, known, reason=reason, message=message))
        if o.phase is ReplicaPhase.EXITED:
            known = now_is(*_ended(known, o))
    if known.state is ReplicaState.PENDING and o.phase is ReplicaPhase.RUNNING:
        known = _with(_process(known, o), state=ReplicaState.STARTING, message=None)
        now_is(known, _fact(ReplicaStarted, known))
    elif known.state is ReplicaState.PENDING and o.message is not None and known.message != o.message:
        known = _with(known, message=o.message)
        now_is(known, _fact(ReplicaStarted, known))
    if o.phase is ReplicaPhase.STOPPING and known.state is not ReplicaState.STOPPING:
        known = now_is(*_told_to_stop(known, o))
    is_condemned = known.condemned_attempt == known.attempt
    if o.phase is ReplicaPhase.RUNNING and known.state in PROCESS_STATES and not is_condemned:
        process = (o.replica_id, o.attempt)
        known = _concluded(known, conclusions.get(process), now, now_is, has_started=process in started)
    if known.address is not None and not _shows_address(known, o):
        known = _with(known, address=o.address)
        now_is(known, _fact(ReplicaStarted, known))
    return changes


def _shows_address(known: Replica, o: ObservedReplica) -> bool:
    """Whether the cluster shows the roster's address; the last one of a process that ended may stay."""
    return o.address == known.address or (o.address is None and known.state is ReplicaState.FAILED)


def _concluded(
    known: Replica,
    conclusion: Conclusion | None,
    now: datetime,
    now_is: Callable[[Replica, MakeFact], Replica],
    *,
    has_started: bool,
) -> Replica:
    """The rows of `decide` for a running process and what its checks say; the replica after them."""
    is_ready = known.state is ReplicaState.RUNNING
    is_news = has_started and known.startup_passed_attempt != known.attempt
    if is_news:
        known = _with(known, startup_passed_attempt=known.attempt)
    match conclusion:
        case Condemned(probe=probe, message=message):
            message = bounded(message)
            reason = ReplicaReason.PROBE_FAILED
            after = _with(
                known,
                state=ReplicaState.UNREADY,
                condemned_attempt=known.attempt,
                reason=reason,
                message=message,
            )
            return now_is(after, _fact(ReplicaCondemned, known, probe=probe, reason=reason, message=message))
        case Ready(reason=reason) if not is_ready:
            after = _with(
                known, state=ReplicaState.RUNNING, ready_at=known.ready_at or now, reason=reason, message=None
            )
            return now_is(after, _fact(ReplicaBecameReady, known, reason=reason))
        case NotReady(reason=reason, message=message) if is_ready or known.message != bounded(message):
            message = bounded(message)
            state = ReplicaState.UNREADY if is_ready else known.state
            after = _with(known, state=state, reason=reason, message=message)
            return now_is(after, _fact(ReplicaBecameUnready, known, reason=reason, message=message))
        case _ if is_news and known.state is ReplicaState.STARTING:
            return now_is(known, _fact(ReplicaStarted, known))
        case _:
            return known


def _appeared(o: ObservedReplica) -> Replica:
    """A replica seen for the first time. An exited one had a process: the next row tells its end."""
    state = {
        ReplicaPhase.PENDING: ReplicaState.PENDING,
        ReplicaPhase.RUNNING: ReplicaState.STARTING,
        ReplicaPhase.EXITED: ReplicaState.STARTING,
        ReplicaPhase.STOPPING: ReplicaState.STOPPING,
    }[o.phase]
    return Replica(
        replica_id=o.replica_id,
        run_id=o.run_id,
        spec_id=o.spec_id,
        state=state,
        address=o.address,
        attempt=o.attempt,
        created_at=o.created_at,
        started_at=o.started_at,
        reason=ReplicaReason.SPAWNED,
        message=o.message,
    )


PROCESS_STATES = frozenset({ReplicaState.STARTING, ReplicaState.RUNNING, ReplicaState.UNREADY})

UNKNOWN_END = "ended; exit status unknown"


def _has_ended(known: Replica, o: ObservedReplica) -> bool:
    """Whether the process that the roster speaks of is no more, though the replica is to go on."""
    if known.state is ReplicaState.PENDING:
        return o.phase is ReplicaPhase.EXITED
    if o.attempt != known.attempt:
        return known.state in PROCESS_STATES or known.state is ReplicaState.STOPPING
    if known.state not in PROCESS_STATES:
        return False
    has_moved = None not in (known.address, o.address) and known.address != o.address
    return o.phase in (ReplicaPhase.EXITED, ReplicaPhase.PENDING) or has_moved


def _has_begun_again(known: Replica, o: ObservedReplica) -> bool:
    """Whether there is, or has been, a process after the one that failed."""
    is_another = o.attempt != known.attempt and o.phase is not ReplicaPhase.PENDING
    return is_another or o.phase is ReplicaPhase.RUNNING


def _ended(known: Replica, o: ObservedReplica) -> tuple[Replica, MakeFact]:
    reason, message = _end_of(known, o)
    after = _with(known, state=ReplicaState.FAILED, reason=reason, message=message)
    return after, _fact(ReplicaStopped, known, reason=reason, message=message)


def _told_to_stop(known: Replica, o: ObservedReplica) -> tuple[Replica, MakeFact]:
    reason, message = ReplicaReason.STOPPED, "told to stop"
    is_condemned = known.condemned_attempt == o.attempt
    after = _with(
        _process(known, o) if o.attempt != known.attempt else known,
        state=ReplicaState.STOPPING,
        reason=known.reason if is_condemned else reason,
        message=known.message if is_condemned else message,
    )
    return after, _fact(ReplicaBecameUnready, known, reason=reason, message=message)


def _end_of(known: Replica, o: ObservedReplica) -> tuple[ReplicaReason, str]:
    """Why the known process ended: a condemned one by its probe, any other as the cluster saw it."""
    if known.condemned_attempt == known.attempt and known.message is not None:
        return ReplicaReason.CONDEMNED, known.message
    if o.last_exit is None:
        return ReplicaReason.EXIT_UNKNOWN, o.message or UNKNOWN_END
    message = o.message or o.last_exit.message  # one that could not start at all says why
    if o.last_exit.signal is not None:
        return ReplicaReason.KILLED, message
    if o.last_exit.status is not None:
        return ReplicaReason.EXITED, message
    return ReplicaReason.EXIT_UNKNOWN, message


def _process(known: Replica, o: ObservedReplica) -> Replica:
    """The same replica with the process that the cluster shows now."""
    return _with(known, address=o.address, attempt=o.attempt, started_at=o.started_at)


def _with(replica: Replica, **changes: Any) -> Replica:
    """Validated, so that what a fact bounds is bounded here too."""
    return Replica(**(dict(replica) | changes))


def _fact(kind: type[ReplicaFact], replica: Replica, **fields: Any) -> MakeFact:
    return lambda roster: kind(replica_id=replica.replica_id, roster=roster, **fields)
