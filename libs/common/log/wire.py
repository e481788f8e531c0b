"""An event's form on the wire and back: headers (CloudEvents over NATS, binary mode) and payload. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from libs.common.clock import to_rfc3339
from libs.common.events import catalogue
from libs.common.events.envelope import Aggregate, Cause, Draft, Recorded, parse_subject
from libs.common.log.port import Stored

MESSAGE_ID = "Nats-Msg-Id"
ID = "ce-id"
TYPE = "ce-type"
SUBJECT = "ce-subject"
HASH = "ce-hash"
ACTOR = "ce-actor"
CORRELATION = "ce-correlationid"
CAUSATION = "ce-causationid"
CAUSATION_SOURCE = "ce-causationsource"
TRACEPARENT = "traceparent"
BATCH = "ce-batch"
"""`<place>/<events>` of an event that was appended together with others."""
IMPORTED_TIME = "specstream-imported-time"
"""When an imported event was stored first, since nobody can set the stream's own timestamp."""

IMPORT_UNTIL = "specstream-import-until"
"""On each imported event: the last sequence of its import. So the log itself says whether it is whole."""

_OF_THE_IMPORT = frozenset({IMPORTED_TIME, IMPORT_UNTIL})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_parse_subject = lru_cache(maxsize=8192)(parse_subject)


def cause_headers(cause: Cause, *, source: str, now: datetime) -> dict[str, str]:
    """What all events of one append have in common."""
    headers = {
        "ce-specversion": "1.0",
        "ce-source": source,
        "ce-time": to_rfc3339(now),
        "content-type": "application/json",
        ACTOR: cause.actor,
        CORRELATION: cause.correlation_id,
    }
    if cause.causation_id is not None:
        headers[CAUSATION] = cause.causation_id
    if cause.causation_source is not None:
        headers[CAUSATION_SOURCE] = cause.causation_source
    if cause.traceparent is not None:
        headers[TRACEPARENT] = cause.traceparent
    return headers


def event_headers(
    common: Mapping[str, str], draft: Draft, *, chained: str, batch: str | None
) -> dict[str, str]:
    """All headers of one event. chained: its chain hash."""
    fact = type(draft.fact)
    headers = {
        **common,
        ID: draft.event_id,
        MESSAGE_ID: draft.event_id,
        TYPE: fact.event_type(),
        SUBJECT: draft.aggregate.id,
        "ce-dataschema": catalogue.dataschema(fact),
        HASH: chained,
    }
    if batch is not None:
        headers[BATCH] = batch
    return headers


def to_recorded(
    sequence: int, time: datetime, subject: str, headers: Mapping[str, str], data: bytes
) -> Recorded:
    """Never fails on a stored event: what is missing is empty. time: the stream's timestamp."""
    aggregate, event_type = _parse_subject(subject)
    raw, fact = catalogue.decode(event_type, data)
    get = headers.get
    imported = get(IMPORTED_TIME)
    return Recorded(
        sequence,
        datetime.fromisoformat(imported) if imported else time,
        aggregate,
        event_type,
        get(ID, ""),
        raw,
        fact,
        Cause(get(ACTOR, ""), get(CORRELATION, ""), get(CAUSATION), get(TRACEPARENT), get(CAUSATION_SOURCE)),
        get(HASH, ""),
    )


def to_stored(sequence: int, time: datetime, subject: str, headers: Mapping[str, str], data: bytes) -> Stored:
    imported = headers.get(IMPORTED_TIME)
    own = {
        name: value
        for name, value in headers.items()
        if name == MESSAGE_ID or not (name.startswith("Nats-") or name in _OF_THE_IMPORT)
    }
    return Stored(sequence, datetime.fromisoformat(imported) if imported else time, subject, own, data)


def imported_headers(event: Stored, *, until: int) -> dict[str, str]:
    """Of an event that is brought into a log. until: the last sequence of its import."""
    return {**event.headers, IMPORTED_TIME: event.time.isoformat(), IMPORT_UNTIL: str(until)}


def import_until(headers: Mapping[str, str]) -> int:
    """The last sequence of the import that brought the event; 0 for one that was appended here."""
    until = headers.get(IMPORT_UNTIL, "")
    return int(until) if until.isascii() and until.isdecimal() else 0


def batch_place(headers: Mapping[str, str]) -> tuple[int, int]:
    """An event's place in its append, and how many there were: (1, 1) for one that was alone."""
    place, _, events = headers.get(BATCH, "1/1").partition("/")
    return int(place), int(events)


def aggregate_of(subject: str) -> Aggregate:
    return _parse_subject(subject)[0]


def from_nanoseconds(since_epoch: int) -> datetime:
    """To whole microseconds, downwards, as `datetime.fromisoformat` does with a longer fraction."""
    return _EPOCH + timedelta(microseconds=since_epoch // 1000)
