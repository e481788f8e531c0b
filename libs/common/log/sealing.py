"""From drafts to the exact messages that are stored, and the conditions that they carry. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from libs.common.events import catalogue
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.log import chain, wire
from libs.common.log.filters import covers
from libs.common.log.port import Appended, Guard, Head, Heads, Stored

MAX_EVENTS = 1000
"""The broker takes no more messages in one atomic batch."""


class Sealed(NamedTuple):
    """One event, ready to be stored. guard: what must hold when it is; at most one on a message."""

    aggregate: Aggregate
    subject: str
    headers: dict[str, str]
    data: bytes
    event_id: str
    hash: str
    guard: Guard | None


def seal(
    drafts: Sequence[Draft],
    *,
    heads: Heads,
    guards: Sequence[Guard],
    cause: Cause,
    source: str,
    now: datetime,
    fresh_id: Callable[[], str],
) -> tuple[Sealed, ...]:
    """Chain the drafts to the heads and spread the guards over them. fresh_id: for a draft without an id.

    The first draft of an aggregate carries that aggregate's guard. A guard on something else rides only
    on a later one: alone on a message it would be checked without its aggregate's order.

    Raises ValueError for no drafts, more than 1,000, an id used twice, a guard on what the append itself
    writes, or more guards than there are drafts to carry them.
    """
    if not drafts:
        raise ValueError("an append needs at least one draft")
    if len(drafts) > MAX_EVENTS:
        raise ValueError(f"an append takes at most {MAX_EVENTS} drafts, not {len(drafts)}")
    ids = [draft.event_id or fresh_id() for draft in drafts]
    if len(set(ids)) < len(ids):
        raise ValueError("two drafts of one append have the same event id")
    for extra in guards:
        if any(covers(extra.filter, draft.subject) for draft in drafts):
            raise ValueError(f"a guard on {extra.filter}, which the append itself writes")

    common = wire.cause_headers(cause, source=source, now=now)
    waiting = list(guards)
    hashes: dict[Aggregate, str] = {}
    sealed: list[Sealed] = []
    for place, (draft, event_id) in enumerate(zip(drafts, ids, strict=True), 1):
        aggregate = draft.aggregate
        guard: Guard | None = None
        if aggregate in hashes:
            previous = hashes[aggregate]
            if waiting:
                guard = waiting.pop(0)
        else:
            head = heads.get(aggregate, _NO_EVENTS)
            previous, guard = head.hash, Guard(aggregate.filter, head.sequence)
        subject, data = draft.subject, catalogue.encode(draft.fact)
        batch = f"{place}/{len(drafts)}" if len(drafts) > 1 else None
        headers = wire.event_headers(common, draft, event_id, batch=batch)
        chained = chain.envelope_hash(previous, subject, headers, data)
        headers[wire.HASH] = hashes[aggregate] = chained
        sealed.append(Sealed(aggregate, subject, headers, data, event_id, chained, guard))
    if waiting:
        raise ValueError(
            f"{len(guards)} guards on other aggregates, but only {len(guards) - len(waiting)} of the drafts "
            f"follow another draft of their own aggregate and can carry one"
        )
    return tuple(sealed)


_NO_EVENTS = Head()


def appended(sealed: Sequence[Sealed], places: Sequence[Head]) -> Appended:
    """The result of an append whose events lie at these places."""
    heads = {event.aggregate: head for event, head in zip(sealed, places, strict=True)}
    return Appended(places[-1].sequence, heads)


def check_restorable(events: Sequence[Stored]) -> None:
    """Raises ValueError for none, more than 1,000, or sequences that do not follow each other."""
    if not 0 < len(events) <= MAX_EVENTS:
        raise ValueError(f"between 1 and {MAX_EVENTS} events are restored at once, not {len(events)}")
    first = events[0].sequence
    if [event.sequence for event in events] != list(range(first, first + len(events))):
        raise ValueError("the sequences of restored events must follow each other")
