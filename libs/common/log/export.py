"""The log as JSON lines: a header, one line for each event, and the head that seals them.

An export can be brought into an empty log, where the same events lie at the same sequences with the same
ids, causes, hashes and times; only `ce-*` headers and bytes count, so nothing is interpreted on the way.
"""

import base64
import binascii
import json
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime
from typing import IO, Any

from libs.common.clock import to_rfc3339
from libs.common.errors import BadRequest, Conflict, Issue
from libs.common.events.envelope import parse_subject
from libs.common.log.port import Archive, Stored
from libs.common.log.verify import Check, LogHead

FORMAT = {"format": "specstream-log", "version": 1}

_AT_ONCE = 200
_IN_MEMORY = 16 * 1024 * 1024


async def export(archive: Archive) -> AsyncIterator[bytes]:
    """The lines of an export of the log as it is now, each with its newline.

    The last line is `{"head": {...}}`: keep it to notice later that the log was cut or changed. Events
    are exported as they are, also when they are corrupt: only an import checks them.
    """
    yield _line(FORMAT)
    check = Check()
    async for event in archive.read_raw():
        check.count(event)
        yield _line(_to_wire(event))
    yield _line({"head": check.head.to_wire()})


async def import_(archive: Archive, lines: AsyncIterator[bytes]) -> int:
    """Bring an export into an empty log; the number of its events. Everything is checked before anything
    is stored, so a broken file changes nothing. The same export goes on with an import that broke off.

    Raises Conflict when the log has other events, BadRequest that names the line, and what `restore` raises.
    """
    await refuse_a_filled(archive)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
        head = await check(lines, spool)
        await store(archive, spool, head)
        return head.events


async def refuse_a_filled(archive: Archive) -> None:
    """Raises Conflict when the log has events that are not the first part of an import."""
    last = await archive.last_sequence()
    if last and await archive.importing() is None:
        raise Conflict(f"the log has {last} events already; only an empty one takes an import")


async def store(archive: Archive, spool: IO[bytes], head: LogHead) -> None:
    """Bring what `check` kept into the log, from where the log ends: the end of an import or its first part.

    Raises Conflict when the log holds anything else, and what `restore` raises.
    """
    importing = await archive.importing()
    if importing is not None and importing.events != head.sequence:
        raise Conflict(
            f"the log has {importing.sequence} events already, of an import of {importing.events}, "
            f"and this export has {head.events}"
        )
    # What came after a whole import is none of its business.
    last = min(await archive.last_sequence(), head.sequence)
    spool.seek(0)
    await _compare(archive, spool, last)
    batch: list[Stored] = []
    for line in spool:
        batch.append(_from_wire(json.loads(line)))
        if len(batch) == _AT_ONCE:
            await archive.restore(batch, until=head.sequence)
            batch = []
    if batch:
        await archive.restore(batch, until=head.sequence)


async def _compare(archive: Archive, spool: IO[bytes], last: int) -> None:
    """Go over the events that the log has already; they are the first ones of the spool."""
    if not last:
        return
    async for stored in archive.read_raw(until=last):
        if _from_wire(json.loads(spool.readline())) != stored:
            raise Conflict(
                f"the log's {last} events are not the beginning of this export: {stored.sequence} differs"
            )


async def check(lines: AsyncIterator[bytes], spool: IO[bytes]) -> LogHead:
    """Verify the whole file and keep its event lines in `spool`; the head that it ends with.

    Raises BadRequest that names the line.
    """
    checked = Check()
    number = 0
    head: LogHead | None = None
    async for line in lines:
        number += 1
        content = _parse(number, line)
        if number == 1:
            if content != FORMAT:
                raise _broken(number, f"is not the header of an export: {json.dumps(FORMAT)}")
        elif head is not None:
            raise _broken(number, "comes after the end")
        elif "head" in content:
            head = _head(number, content["head"])
            if head != checked.head:
                raise _broken(number, "the digest does not fit: events are missing or were changed")
        else:
            try:
                event = _from_wire(content)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise _broken(number, f"is not an event: {error!r}") from error
            if reason := checked.add(event):
                raise _broken(number, f"sequence {event.sequence}: {reason}")
            spool.write(_line(content))
    if head is None:
        raise _broken(number + 1, "the file ends without its head: it is not whole")
    return head


def _parse(number: int, line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise _broken(number, f"is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise _broken(number, "is not a JSON object")
    return content


def _head(number: int, content: Any) -> LogHead:
    try:
        return LogHead(content["sequence"], content["events"], content["digest"])
    except (KeyError, TypeError) as error:
        raise _broken(number, f"is not a head: {error!r}") from error


def _broken(number: int, reason: str) -> BadRequest:
    return BadRequest(f"line {number} {reason}", [Issue(("line", number), reason)])


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _to_wire(event: Stored) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "sequence": event.sequence,
        "time": to_rfc3339(event.time),
        "subject": event.subject,
        "headers": dict(event.headers),
    }
    try:
        return wire | {"data": event.data.decode()}
    except UnicodeDecodeError:
        return wire | {"data_base64": base64.b64encode(event.data).decode()}


def _from_wire(wire: dict[str, Any]) -> Stored:
    """Raises KeyError, TypeError, ValueError or AttributeError for what is not an event."""
    try:
        data = (
            wire["data"].encode() if "data" in wire else base64.b64decode(wire["data_base64"], validate=True)
        )
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    headers = wire["headers"]
    if not all(
        isinstance(value, str) and "\n" not in value and "\r" not in value for value in headers.values()
    ):
        raise ValueError("a header is not one line of text")
    parse_subject(wire["subject"])
    time = datetime.fromisoformat(wire["time"])
    if time.tzinfo is None:
        raise ValueError("the time has no time zone")
    return Stored(int(wire["sequence"]), time, wire["subject"], headers, data)
