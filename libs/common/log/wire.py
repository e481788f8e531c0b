"""An event's form on the wire and back: headers (CloudEvents over NATS, binary mode) and payload. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from libs.common.clock import to_rfc3339
from libs.common.events import catalogue
from libs.common.events.envelope import (
    TEAM,
    Aggregate,
    Cause,
    Draft,
    Recorded,
    page_of_subject,
    parse_subject,
)
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
DATASCHEMA = "ce-dataschema"
TRACEPARENT = "traceparent"
BATCH = "ce-batch"
"""`<place>/<events>` of an event that was appended together with others."""
IMPORTED_TIME = "specstream-imported-time"
"""When an imported event was stored first, since nobody can set the stream's own timestamp."""

IMPORT_UNTIL = "specstream-import-until"
"""On each imported event: the last sequence of its import. So the log itself says whether it is whole."""

NOWHERE: Final = Aggregate(project_id=TEAM, kind="", id="")
"""Of what is no event by its subject: nobody writes it, and nobody follows it."""

_BATCH_PLACE = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")
"""The broker takes at most 1,000 at once."""

_NOT_OWN = ("nats-", "specstream-")
"""How the names of headers begin that speak to the broker, or say how a copy of an event came here."""

SPACE = " \t\n\r\x0b\x0c"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cause_headers(cause: Cause, *, source: str, now: datetime) -> dict[str, str]:
    """What all events of one append have in common, each value as it will be read back."""
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
    return {name: one_line(value) for name, value in headers.items()}


def one_line(value: str) -> str:
    """The value of a header as it comes back from the broker: on one line, and without space around it."""
    if "\n" in value or "\r" in value:
        value = " ".join(value.splitlines())
    return value.strip(SPACE)


def event_headers(
    common: Mapping[str, str], draft: Draft, event_id: str, *, batch: str | None
) -> dict[str, str]:
    """All headers of one event but its hash, which covers them."""
    fact = type(draft.fact)
    headers = {
        **common,
        ID: event_id,
        MESSAGE_ID: event_id,
        TYPE: fact.event_type(),
        SUBJECT: draft.aggregate.id,
        DATASCHEMA: catalogue.dataschema(fact),
    }
    if batch is not None:
        headers[BATCH] = batch
    return headers


def to_recorded(
    sequence: int, time: datetime, subject: str, headers: Mapping[str, str], data: bytes
) -> Recorded:
    """Never fails on a stored message: what is missing is empty. time: the stream's timestamp.

    Only a message whose headers are those of an event of its subject is a fact: whoever gets some other
    message stored under the subject of an event has stored nothing that anybody believes.
    """
    aggregate, event_type = place_of(subject)
    page = page_of_subject(subject)
    get = headers.get
    schema = get(DATASCHEMA, "")
    fact = None
    unknown = contradiction(aggregate, event_type, headers) or catalogue.unknown_schema(event_type, schema)
    if unknown:
        raw = catalogue.payload(data) or {}
    else:
        raw, fact = catalogue.decode(event_type, data)
        if fact is None:
            unknown = catalogue.why_unknown(event_type, data)
        elif fact.aggregate != aggregate.kind:
            # Whoever reads by types alone would believe it, also of an id that nobody has made.
            unknown = f"its type contradicts its subject: it is of a {fact.aggregate}, not {aggregate.kind}"
            fact = None
        elif fact.subject_page() != page:
            unknown = f"its payload contradicts its subject: it is of page {fact.subject_page()}, not {page}"
            fact = None
    return Recorded(
        sequence,
        _first_stored(headers, time),
        aggregate,
        event_type,
        get(ID, ""),
        raw,
        fact,
        Cause(get(ACTOR, ""), get(CORRELATION, ""), get(CAUSATION), get(TRACEPARENT), get(CAUSATION_SOURCE)),
        get(HASH, ""),
        unknown,
        page,
    )


def place_of(subject: str) -> tuple[Aggregate, str]:
    """The aggregate and the event type of a stored message's subject; `NOWHERE` where it is none of an event.

    What is sent with a `*` or `>` in its subject the broker stores without giving it the subject of an event.
    """
    try:
        return parse_subject(subject)
    except ValueError:
        return NOWHERE, ""


def contradiction(aggregate: Aggregate, event_type: str, headers: Mapping[str, str]) -> str:
    """Why a stored message is no event, by its place and its headers; empty when these fit."""
    if aggregate == NOWHERE:
        return "its subject is not the subject of an event"
    get = headers.get
    if get(TYPE) != event_type:
        return f"its headers contradict its subject: {TYPE} is {_shown(get(TYPE))}, not {event_type}"
    if get(SUBJECT) != aggregate.id:
        return f"its headers contradict its subject: {SUBJECT} is {_shown(get(SUBJECT))}, not {aggregate.id}"
    schema = get(DATASCHEMA)
    if schema is None or not schema.startswith(f"{catalogue.schema_name(event_type)}:v"):
        return f"its headers contradict its subject: {DATASCHEMA} is {_shown(schema)}"
    for name in (ID, HASH):
        if not get(name):
            return f"its headers contradict its subject: it has no {name}"
    return ""


def is_own(name: str) -> bool:
    """Whether a header belongs to the event itself, wherever it lies, and so is covered by its hash."""
    return not name.lower().startswith(_NOT_OWN)


def to_stored(sequence: int, time: datetime, subject: str, headers: Mapping[str, str], data: bytes) -> Stored:
    own = {name: headers[name] for name in _of_the_event(tuple(headers))}
    return Stored(sequence, _first_stored(headers, time), subject, own, data)


@lru_cache(maxsize=256)
def _of_the_event(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those that go with the event wherever it is brought. Few events differ in their names."""
    return tuple(name for name in names if name == MESSAGE_ID or is_own(name))


def imported_headers(event: Stored, *, until: int) -> dict[str, str]:
    """Of an event that is brought into a log. until: the last sequence of its import."""
    return {**event.headers, IMPORTED_TIME: event.time.isoformat(), IMPORT_UNTIL: str(until)}


def import_until(headers: Mapping[str, str]) -> int:
    """The last sequence of the import that brought the event; 0 for one that was appended here."""
    until = headers.get(IMPORT_UNTIL, "")
    return int(until) if until.isascii() and until.isdecimal() else 0


def whole_up_to(sequence: int, headers: Mapping[str, str]) -> int:
    """The end of the last append that is whole where the log is read up to this event; 0 before the first.

    By the event's place in its append; what no append has written there counts as alone.
    """
    written = _BATCH_PLACE.fullmatch(headers.get(BATCH, "1/1"))
    place, events = (int(written[1]), int(written[2])) if written else (1, 1)
    is_inside = 0 < place < events
    return max(0, sequence - place) if is_inside else sequence


def aggregate_of(subject: str) -> Aggregate:
    return parse_subject(subject)[0]


def _first_stored(headers: Mapping[str, str], time: datetime) -> datetime:
    """When an event was stored first; `time`, the stream's own, where nothing readable says otherwise."""
    imported = headers.get(IMPORTED_TIME)
    if imported is None:
        return time
    try:
        moment = datetime.fromisoformat(imported)
    except ValueError:
        return time
    return moment if moment.tzinfo else time


def _shown(value: str | None) -> str:
    return "missing" if value is None else repr(value[:100])


def from_nanoseconds(since_epoch: int) -> datetime:
    """To whole microseconds, downwards, as `datetime.fromisoformat` does with a longer fraction."""
    return _EPOCH + timedelta(microseconds=since_epoch // 1000)
