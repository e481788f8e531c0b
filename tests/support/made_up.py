"""Histories that somebody made up: any events at all, chained as if a log had stored them."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from libs.common.clock import utc_now
from libs.common.events.catalogue import CATALOGUE, schema_name
from libs.common.events.envelope import GENESIS
from libs.common.ids import new_id
from libs.common.log import chain, wire
from libs.common.log.port import Stored
from tests.support.old_hashes import export_lines


def made_up(
    subject: str, data: Any, *, time: datetime | None = None, headers: Mapping[str, str] | None = None
) -> Stored:
    """An event whose headers fit its subject. data: its payload, as bytes or to be told in JSON."""
    *_, aggregate_id, last = subject.split(".")
    event_type = last.partition("-")[0]
    version = CATALOGUE[event_type].version if event_type in CATALOGUE else 1
    event_id = new_id()
    fitting = {
        "ce-specversion": "1.0",
        "ce-source": "specstream/api",
        wire.ACTOR: "key:default",
        wire.CORRELATION: event_id,
        wire.ID: event_id,
        wire.MESSAGE_ID: event_id,
        wire.TYPE: event_type,
        wire.SUBJECT: aggregate_id,
        wire.DATASCHEMA: f"{schema_name(event_type)}:v{version}",
    }
    payload = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Stored(0, time or utc_now(), subject, fitting | dict(headers or {}), payload)


def chained(events: Iterable[Stored]) -> list[Stored]:
    """One behind the other, each with the hash that it has to have there."""
    hashes: dict[str, str] = {}
    found = []
    for sequence, event in enumerate(events, 1):
        aggregate = event.subject.rpartition(".")[0]
        headers = {name: value for name, value in event.headers.items() if name != wire.HASH}
        before = hashes.get(aggregate, GENESIS)
        hashes[aggregate] = chain.envelope_hash(before, event.subject, headers, event.data)
        found.append(replace(event, sequence=sequence, headers={**headers, wire.HASH: hashes[aggregate]}))
    return found


def file_of(events: Iterable[Stored]) -> bytes:
    """An export that has these events."""
    return b"".join(export_lines(chained(events)))


async def lines_of(events: Iterable[Stored]) -> AsyncIterator[bytes]:
    """The lines of the same."""
    for line in export_lines(chained(events)):
        yield line
