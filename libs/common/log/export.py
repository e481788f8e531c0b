"""The log as JSON lines: a header, one line for each event, and the head that seals them.

An export can be brought into an empty log, where the same events lie at the same sequences with the same
ids, causes, hashes and times; only `ce-*` headers and bytes count, so nothing is interpreted on the way.

| version | its head covers                    |
|---------|------------------------------------|
| 1       | the hashes of its events           |
| 2       | its events whole, with their times |

Version 2 is what is written; both are imported.
"""

import asyncio
import base64
import binascii
import json
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final

from pydantic_core import from_json, to_json

from libs.common.clock import Clock, to_rfc3339, utc_now
from libs.common.errors import BadRequest, Conflict, Issue
from libs.common.events.envelope import parse_subject
from libs.common.log import chain, head, own_ids, storable, wire
from libs.common.log.batches import batches
from libs.common.log.head import LogHead, RunningHead
from libs.common.log.ledger import Ledger
from libs.common.log.port import Archive, Stored
from libs.common.log.verify import Check
from libs.common.turns import Turns

_NAME = "specstream-log"
FORMAT = {"format": _NAME, "version": head.VERSION}

_AT_ONCE = 200

_AHEAD = 1
"""Batches that are made and sent while one is being stored."""

MOST_AHEAD: Final = timedelta(days=1)
"""Of this machine's clock, as that of another one may be. All events that come after it would be shown with
the time of an event from further ahead, since times never step back."""

Keep = Callable[[bytes], object]
"""Takes a line."""


async def export(archive: Archive) -> AsyncIterator[bytes]:
    """The lines of an export of the log as it is now, each with its newline.

    The last line is `{"head": {...}}`: keep it to notice later that the log was cut or changed. Events
    are exported as they are, also when they are corrupt or no events at all: only an import checks them.
    """
    yield json_line(FORMAT)
    running = RunningHead()
    turns = Turns()
    async for event in archive.read_raw():
        running.take(event)
        yield event_line(event)
        await turns.give()
    yield json_line({"head": running.head().to_wire()})


async def import_(archive: Archive, lines: AsyncIterator[bytes], *, folder: Path | None = None) -> int:
    """Bring an export into an empty log; the number of its events. Everything is checked before anything
    is stored, so a broken file changes nothing. The same export goes on with an import that broke off.

    folder: where the file is kept meanwhile, which is as large as it; else the folder of temporary files.
    Raises Conflict when the log has other events, BadRequest that names the line, and what `restore` raises.
    """
    await refuse_a_filled(archive)
    with tempfile.TemporaryFile(dir=folder) as spool:
        end = await check(lines, spool.write, folder=folder)
        await store(archive, spool, end)
        return end.events


async def refuse_a_filled(archive: Archive) -> None:
    """Raises Conflict when the log has events that are not the first part of an import."""
    last = await archive.last_sequence()
    if last and await archive.importing() is None:
        raise Conflict(f"the log has {last} events already; only an empty one takes an import")


async def store(archive: Archive, spool: IO[bytes], end: LogHead) -> None:
    """Bring what `check` kept into the log, from where the log ends: the end of an import or its first part.

    Raises Conflict when the log holds anything else, and what `restore` raises.
    """
    importing = await archive.importing()
    if importing is not None and importing.events != end.sequence:
        raise Conflict(
            f"the log has {importing.sequence} events already, of an import of {importing.events}, "
            f"and this export has {end.events}"
        )
    # What came after a whole import is none of its business.
    last = min(await archive.last_sequence(), end.sequence)
    spool.seek(0)
    await _compare(archive, spool, last)
    on_their_way: deque[asyncio.Task[None]] = deque()
    try:
        async for batch in batches(_events(spool), _AT_ONCE):
            on_their_way.append(asyncio.create_task(archive.restore(batch, until=end.sequence)))
            if len(on_their_way) > _AHEAD:
                await on_their_way.popleft()
        while on_their_way:
            await on_their_way.popleft()
    finally:
        # Of one that failed nothing is stored, nor of what was sent behind it.
        for restoring in on_their_way:
            restoring.cancel()
        await asyncio.gather(*on_their_way, return_exceptions=True)


async def _events(spool: IO[bytes]) -> AsyncIterator[Stored]:
    """They were checked."""
    turns = Turns()
    for line in spool:
        yield stored_of(line)
        await turns.give()


async def _compare(archive: Archive, spool: IO[bytes], last: int) -> None:
    """Go over the events that the log has already; they are the first ones of the spool."""
    if not last:
        return
    turns = Turns()
    async for stored in archive.read_raw(until=last):
        await turns.give()
        if _from_wire(_json(spool.readline())) != stored:
            raise Conflict(
                f"the log's {last} events are not the beginning of this export: {stored.sequence} differs"
            )


async def check(
    lines: AsyncIterator[bytes], keep: Keep, *, folder: Path | None = None, clock: Clock = utc_now
) -> LogHead:
    """Verify the whole file; the head that it ends with.

    keep: takes the line of each event that holds, which is worth nothing if a later one or the head does not.
    folder: where what has to be remembered meanwhile is kept; else the folder of temporary files.
    Raises BadRequest that names the line.
    """
    with Ledger(folder) as ledger:
        return await _check(lines, keep, Check(ledger, is_to_be_stored=True), latest=clock() + MOST_AHEAD)


async def _check(lines: AsyncIterator[bytes], keep: Keep, checked: Check, *, latest: datetime) -> LogHead:
    """latest: when an event can have been stored."""
    number = 0
    version = 0
    end: LogHead | None = None
    turns = Turns()
    async for line in lines:
        await turns.give()
        number += 1
        content = _parse(number, line)
        if number == 1:
            version = _version(number, content)
        elif end is not None:
            raise _broken(number, "comes after the end")
        elif "head" in content:
            end = _head(number, content["head"])
            if end != checked.head(version):
                raise _broken(number, "the digest does not fit: events are missing or were changed")
        else:
            try:
                event = _from_wire(content)
                unstorable = storable.problem(event)
            except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
                raise _broken(number, f"is not an event: {error!r}") from error
            if unstorable:
                raise _broken(number, f"cannot be stored as it is: {unstorable}")
            if reason := (
                checked.add(event)
                or own_ids.problem(event)
                or (_not_of_version_1(checked, event) if version == 1 else None)
            ):
                raise _broken(number, f"sequence {event.sequence}: {reason}")
            if event.time > latest:
                ahead = (
                    f"its time, {to_rfc3339(event.time)}, is more than a day ahead of this machine's clock"
                )
                raise _broken(number, f"sequence {event.sequence}: {ahead}")
            keep(_one_line(line))
    if end is None:
        raise _broken(number + 1, "the file ends without its head: it is not whole")
    return end


def _version(number: int, content: dict[str, Any]) -> int:
    """Of the format, by the header."""
    for version in head.VERSIONS:
        if content == {"format": _NAME, "version": version}:
            return version
    if content.get("format") == _NAME:
        known = " and ".join(str(version) for version in head.VERSIONS)
        raise _broken(number, f"is of version {content.get('version')!r}; this Specstream reads {known}")
    raise _broken(number, f"is not the header of an export: {json.dumps(FORMAT)}")


def _not_of_version_1(check: Check, event: Stored) -> str | None:
    """What cannot be in a file of version 1. Its head covers the hashes alone, so it vouches for nothing
    that they do not cover, and by calling itself old a file gets no weaker check than it was made for."""
    if check.strangers.first is not None:
        return check.strangers.first[1]
    if chain.version_of(event.headers.get(wire.HASH, "")) != chain.FIRST_VERSION:
        return "its hash is of a later version than its file"
    return None


def _parse(number: int, line: bytes) -> dict[str, Any]:
    try:
        content = _json(line)
    except ValueError as error:
        raise _broken(number, f"is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise _broken(number, "is not a JSON object")
    return content


def _head(number: int, content: Any) -> LogHead:
    try:
        return LogHead.from_wire(content)
    except KeyError as error:
        raise _broken(number, f"is not a head: it has no {error}") from error
    except ValueError as error:
        raise _broken(number, f"is not a head: {error}") from error
    except (TypeError, AttributeError) as error:
        raise _broken(number, "is not a head: no JSON object") from error


def _broken(number: int, reason: str) -> BadRequest:
    allowed = "a file as `log export` wrote it"
    return BadRequest(f"line {number} {reason}", [Issue(("line", number), reason, allowed=allowed)])


def json_line(content: dict[str, Any]) -> bytes:
    """One line of an export."""
    return to_json(content) + b"\n"


def _json(line: bytes) -> Any:
    """Raises ValueError."""
    return from_json(line, cache_strings="keys")


def _one_line(line: bytes) -> bytes:
    """What was read as JSON, on one line. A line break in it stands between its parts: within a text there is
    none that is not escaped."""
    return line.strip().replace(b"\n", b" ") + b"\n"


def event_line(event: Stored) -> bytes:
    """One event as a line of an export."""
    return json_line(_to_wire(event))


def stored_events(file: Path) -> Iterator[Stored]:
    """The events of an export, which is believed."""
    with file.open("rb") as lines:
        for one in lines:
            content = _json(one)
            if "sequence" in content:
                yield _from_wire(content)


def stored_of(line: bytes) -> Stored:
    """The event that `event_line` wrote, also one that is corrupt or no event at all."""
    return _stored(_json(line))


def _to_wire(event: Stored) -> dict[str, Any]:
    content: dict[str, Any] = {
        "sequence": event.sequence,
        "time": to_rfc3339(event.time),
        "subject": event.subject,
        "headers": dict(event.headers),
    }
    try:
        return content | {"data": event.data.decode()}
    except UnicodeDecodeError:
        return content | {"data_base64": base64.b64encode(event.data).decode()}


def _from_wire(content: dict[str, Any]) -> Stored:
    """Raises KeyError, TypeError, ValueError, OverflowError or AttributeError for what is not an event."""
    event = _stored(content)
    parse_subject(event.subject)
    if event.time.tzinfo is None:
        raise ValueError("the time has no time zone")
    event.time.astimezone(UTC)  # OverflowError
    return event


def _stored(content: dict[str, Any]) -> Stored:
    try:
        data = (
            content["data"].encode()
            if "data" in content
            else base64.b64decode(content["data_base64"], validate=True)
        )
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    time = datetime.fromisoformat(content["time"])
    return Stored(int(content["sequence"]), time, content["subject"], content["headers"], data)
