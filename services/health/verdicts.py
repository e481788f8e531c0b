"""From what the cluster shows and what the checks conclude to facts about replicas. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

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
from libs.common.state.replica import Roster, free_slots
from services.health import damping, pacing
from services.health.changes import changed
from services.health.examination import Conclusion, Condemned, NotReady, Ready

Conclusions = Mapping[tuple[str, int], Conclusion]
"""What the checks say, by replica_id and attempt; a process that is missing is undecided."""

Started = frozenset[tuple[str, int]]
"""Processes by replica_id and attempt."""


MOST_FACTS = 256
"""Of one decision. Each may leave another page, and the log takes 1,000 messages at once."""


def decide(
    roster: Roster,
    observed: Sequence[ObservedReplica],
    conclusions: Conclusions,
    *,
    leaving: frozenset[str] = frozenset(),
    started: Started = frozenset(),
    now: datetime,
    limit: int = MOST_FACTS,
) -> list[ReplicaFact]:
    """The facts of one deployment since `roster`, each with its replica after it; [] if none.

    leaving: replicas that were asked to go, so that their end is not taken for a loss.
    started: processes whose startup check has succeeded, so that nobody repeats it.
    At most about `limit` facts; the rest follows when it is asked again with the roster after them.

    Rows are tried from the top, each on what the row before left, so that a replica that crashed and
    came back between two observations has the same story as one that was watched all along.

    | roster           | cluster shows               | checks        | fact                 | state after |
    |------------------|-----------------------------|---------------|----------------------|-------------|
    | any              | absent                      | -             | ReplicaStopped       | none        |
    | absent           | pending or stopping, and    | -             | none                 | none         |
    |                  | says nothing new            |               |                      |              |
    | absent           | any other                   | -             | ReplicaStarted       | of the phase |
    | has a process    | exited or pending, another  | -             | ReplicaStopped       | failed      |
    |                  | attempt, or another address |               |                      |             |
    | pending          | exited, at any attempt      | -             | ReplicaStopped       | failed      |
    | failed           | running, or another attempt | -             | ReplicaRestarted     | starting    |
    |                  | that has ended again        |               |                      |             |
    | pending          | running                     | -             | ReplicaStarted       | starting    |
    | starting         | exited (that other attempt) | -             | ReplicaStopped       | failed      |
    | pending          | pending, with a new message | -             | ReplicaStarted       | pending     |
    |                  | (other numbers are none)    |               |                      |             |
    | not stopping     | stopping                    | -             | ReplicaBecameUnready | stopping    |
    | condemned        | running                     | any           | none                 | same        |
    | any other        | running                     | condemned     | ReplicaCondemned     | unready     |
    | not ready        | running                     | ready         | ReplicaBecameReady   | running     |
    | running          | running                     | not ready     | ReplicaBecameUnready | unready     |
    | unsteady         | running                     | ready, but    | none                 | same        |
    |                  |                             | not for long, |                      |             |
    |                  |                             | or else       |                      |             |
    | starting/unready | running                     | not ready, of | ReplicaBecameUnready | same        |
    |                  |                             | a new message |                      |             |
    | starting         | running                     | else, startup | ReplicaStarted       | same        |
    |                  |                             | has passed    |                      |             |
    | any              | any                         | undecided     | none                 | same        |
    | has an address   | another address, or none    | -             | ReplicaStarted       | same        |

    A replica is unsteady when `damping` says how long it has to stay ready: then only a change of whether it
    is ready, or of its process, is a fact. One that changes too often tells it later (`pacing`).
    One that is made again and again for what ends before it starts says something new when it has a message
    or a process, or ends as the first, second, fourth, eighth ... of them.
    Another attempt is a later one, or an earlier one where the cluster's records are older than the log.
    The last row ends what somebody else has written, such as an import: only what the cluster shows counts.
    A message is compared as a fact holds it, bounded; a longer one would be news at every observation.
    """
    seen = {o.replica_id for o in observed}
    gone = [known for known in roster.replicas if known.replica_id not in seen][:limit]
    facts = [_gone(known, is_leaving=known.replica_id in leaving) for known in gone]
    left = {known.replica_id for known in gone}
    slots = free_slots(known for known in roster.replicas if known.replica_id not in left)
    for o in sorted(observed, key=lambda o: (o.created_at, o.replica_id)):
        if len(facts) < limit:
            process = (o.replica_id, o.attempt)
            facts += _changes(
                roster.get(o.replica_id),
                o,
                conclusions.get(process),
                has_started=process in started,
                slots=slots,
                now=now,
            )
    return facts


def _gone(known: Replica, *, is_leaving: bool) -> ReplicaFact:
    if not is_leaving and known.state is ReplicaState.STOPPING and known.reason in BY_OTHERS:
        reason, message = known.reason, known.message or known.reason.value
    elif is_leaving or known.state is ReplicaState.STOPPING:
        reason, message = ReplicaReason.STOPPED, "stopped"
    else:
        reason, message = ReplicaReason.LOST, "gone from the cluster"
    return ReplicaStopped(replica_id=known.replica_id, reason=reason, message=message)


def _changes(
    known: Replica | None,
    o: ObservedReplica,
    conclusion: Conclusion | None,
    *,
    has_started: bool,
    slots: Iterator[int],
    now: datetime,
) -> list[ReplicaFact]:
    """The rows of `decide` for one replica that the cluster shows, as far as they are told now.

    slots: those that a new one may have.
    """
    before = known
    if o.message is not None:
        o = replace(o, message=bounded(o.message))
    facts: list[ReplicaFact] = []

    def take(fact: ReplicaFact) -> Replica:
        facts.append(fact)
        assert fact.replica is not None
        return fact.replica

    if known is None:
        if not _is_worth_telling(o):
            return []
        known = take(_started(_appeared(o, next(slots))))
    if _has_ended(known, o):
        known = take(_ended(known, o, now))
    if known.state is ReplicaState.FAILED and _has_begun_again(known, o):
        # The message stays until it is ready again: it is what people look for in a crash loop.
        reason = known.reason or ReplicaReason.EXIT_UNKNOWN
        message = known.message or UNKNOWN_END
        known = changed(_process(known, o), state=ReplicaState.STARTING, condemned_attempt=None)
        known = take(
            ReplicaRestarted(replica_id=known.replica_id, replica=known, reason=reason, message=message)
        )
        if o.phase is ReplicaPhase.EXITED:
            known = take(_ended(known, o, now))
    if known.state is ReplicaState.PENDING and o.phase is ReplicaPhase.RUNNING:
        known = changed(_process(known, o), state=ReplicaState.STARTING, message=None)
        known = take(_started(known))
    elif known.state is ReplicaState.PENDING and o.message is not None and _is_news(known, o.message):
        known = take(_started(changed(known, message=o.message, reason=o.reason or known.reason)))
    if o.phase is ReplicaPhase.STOPPING and known.state is not ReplicaState.STOPPING:
        known = take(_told_to_stop(known, o))
    is_condemned = known.condemned_attempt == known.attempt
    if o.phase is ReplicaPhase.RUNNING and known.state in PROCESS_STATES and not is_condemned:
        concluded = _concluded(known, conclusion, now, has_started=has_started)
        if concluded is not None:
            known = take(concluded)
    if known.address is not None and not _shows_address(known, o):
        take(_started(changed(known, address=o.address)))
    return facts if before is None else pacing.paced(before, facts, now)


def _started(after: Replica) -> ReplicaStarted:
    return ReplicaStarted(replica_id=after.replica_id, replica=after)


def _shows_address(known: Replica, o: ObservedReplica) -> bool:
    """Whether the cluster shows the roster's address; the last one of a process that ended may stay."""
    return o.address == known.address or (o.address is None and known.state is ReplicaState.FAILED)


def _concluded(
    known: Replica, conclusion: Conclusion | None, now: datetime, *, has_started: bool
) -> ReplicaFact | None:
    """The rows of `decide` for a running process and what its checks say."""
    is_ready = known.state is ReplicaState.RUNNING
    is_news = has_started and known.startup_passed_attempt != known.attempt
    if is_news:
        known = changed(known, startup_passed_attempt=known.attempt)
    match conclusion:
        case Condemned(probe=probe, message=message):
            reason = ReplicaReason.PROBE_FAILED
            after = changed(
                damping.lost(known, now, message),
                state=ReplicaState.UNREADY,
                condemned_attempt=known.attempt,
                reason=reason,
            )
            return ReplicaCondemned(
                replica_id=after.replica_id, replica=after, probe=probe, reason=reason, message=message
            )
        case Ready(reason=reason) if not is_ready and damping.counts_in_s(known, conclusion) == 0:
            after = changed(
                damping.gained(known, now),
                state=ReplicaState.RUNNING,
                ready_at=known.ready_at or now,
                reason=reason,
                message=None,
            )
            return ReplicaBecameReady(replica_id=after.replica_id, replica=after, reason=reason)
        case NotReady(reason=reason, message=message) if is_ready:
            after = changed(damping.lost(known, now, message), state=ReplicaState.UNREADY, reason=reason)
            return ReplicaBecameUnready(
                replica_id=after.replica_id, replica=after, reason=reason, message=after.message or message
            )
        case _ if known.must_stay_ready_s > 0:
            return None
        case NotReady(reason=reason, message=message) if known.message != bounded(message):
            after = changed(damping.explained(known, now, message), reason=reason)
            return ReplicaBecameUnready(
                replica_id=after.replica_id, replica=after, reason=reason, message=after.message or message
            )
        case _ if is_news and known.state is ReplicaState.STARTING:
            return _started(known)
        case _:
            return None


def _is_worth_telling(o: ObservedReplica) -> bool:
    """Whether a replica that is not in the roster says what those before it have not said."""
    if o.failed_before == 0 or o.phase in (ReplicaPhase.RUNNING, ReplicaPhase.EXITED):
        return True
    if o.phase is ReplicaPhase.PENDING:
        return o.message is not None
    return o.failed_before.bit_count() == 1


def _appeared(o: ObservedReplica, slot: int) -> Replica:
    """A replica seen for the first time. An exited one had a process: the next row tells its end."""
    state = {
        ReplicaPhase.PENDING: ReplicaState.PENDING,
        ReplicaPhase.RUNNING: ReplicaState.STARTING,
        ReplicaPhase.EXITED: ReplicaState.STARTING,
        ReplicaPhase.STOPPING: ReplicaState.STOPPING,
    }[o.phase]
    has_process = o.phase in (ReplicaPhase.RUNNING, ReplicaPhase.EXITED)
    return Replica(
        replica_id=o.replica_id,
        slot=slot,
        run_id=o.run_id,
        spec_id=o.spec_id,
        state=state,
        address=o.address,
        attempt=o.attempt,
        created_at=o.created_at,
        started_at=o.started_at,
        reason=ReplicaReason.SPAWNED if has_process else o.reason or ReplicaReason.SPAWNED,
        message=o.message,
    )


PROCESS_STATES = frozenset({ReplicaState.STARTING, ReplicaState.RUNNING, ReplicaState.UNREADY})

BY_OTHERS = frozenset(
    {ReplicaReason.DELETED, ReplicaReason.EVICTED, ReplicaReason.PREEMPTED, ReplicaReason.REJECTED}
)
"""Why a replica ends that nobody here has told to."""

_NUMBER = re.compile(r"\d+")

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


def _ended(known: Replica, o: ObservedReplica, now: datetime) -> ReplicaFact:
    reason, message = _end_of(known, o)
    after = changed(damping.ended(known, now, message), state=ReplicaState.FAILED, reason=reason)
    return ReplicaStopped(
        replica_id=after.replica_id, replica=after, reason=reason, message=after.message or message
    )


def _told_to_stop(known: Replica, o: ObservedReplica) -> ReplicaFact:
    reason, message = o.reason or ReplicaReason.STOPPED, o.message or "told to stop"
    is_condemned = known.condemned_attempt == o.attempt
    after = changed(
        _process(known, o) if o.attempt != known.attempt else known,
        state=ReplicaState.STOPPING,
        reason=known.reason if is_condemned else reason,
        message=known.message if is_condemned else message,
    )
    return ReplicaBecameUnready(replica_id=after.replica_id, replica=after, reason=reason, message=message)


def _end_of(known: Replica, o: ObservedReplica) -> tuple[ReplicaReason, str]:
    """Why the known process ended: a condemned one by its probe, any other as the cluster saw it."""
    if known.condemned_attempt == known.attempt and known.message is not None:
        return ReplicaReason.CONDEMNED, known.message
    if o.last_exit is None:
        return ReplicaReason.EXIT_UNKNOWN, o.message or UNKNOWN_END
    # What is said of a process that runs by now is not about the one before it.
    is_over = o.phase is not ReplicaPhase.RUNNING
    message = (o.message if is_over else None) or o.last_exit.message  # one that could not start says why
    if o.last_exit.reason is not None:
        return o.last_exit.reason, o.last_exit.message
    if o.reason is not None and is_over:
        return o.reason, message
    if o.last_exit.signal is not None:
        return ReplicaReason.KILLED, message
    if o.last_exit.status is not None:
        return ReplicaReason.EXITED, message
    return ReplicaReason.EXIT_UNKNOWN, message


def _is_news(known: Replica, message: str) -> bool:
    """Whether it says anything else than before, other numbers apart: how many nodes have no room changes
    all the time, and is no news."""
    return _NUMBER.sub("", message) != _NUMBER.sub("", known.message or "")


def _process(known: Replica, o: ObservedReplica) -> Replica:
    """The same replica with the process that the cluster shows now."""
    return changed(known, address=o.address, attempt=o.attempt, started_at=o.started_at)
