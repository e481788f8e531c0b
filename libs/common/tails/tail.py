"""The end of what one replica wrote, how it grows, and where it is kept. Pure."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

MOST_BYTES: Final = 64 * 1024
"""Of the lines of one replica, each with `BYTES_OF_A_TIME` for its time; and of the message that has them."""
BYTES_OF_A_TIME: Final = 32
LONGEST_LINE: Final = 16 * 1024
"""Bytes."""
MOST_REPLICAS: Final = 10
"""Of a deployment."""
MOST_UNPACKED: Final = 4 * 1024 * 1024
"""Of what such a message unpacks to: escaped, each byte of a line is six at most."""
KEPT_S: Final = 7 * 24 * 3600.0

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class TailLine:
    """id: as the cluster gave it; orders the lines of a deployment."""

    id: str
    message: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Tail:
    """lines: by their ids. problem: why the newest lines could not be read."""

    replica_id: str
    lines: tuple[TailLine, ...] = ()
    problem: str = ""


def join(before: Tail | None, after: Tail) -> Tail:
    """The end of both together; the same twice changes nothing. What is newest says the problem. The end of a
    line that would fill it alone is cut."""
    known = {line.id: _cut(line) for line in (*(before.lines if before else ()), *after.lines)}
    lines = [known[each] for each in sorted(known)]
    kept, held = len(lines), 0
    while kept and (held := held + _size(lines[kept - 1])) <= MOST_BYTES:
        kept -= 1
    return Tail(after.replica_id, tuple(lines[kept:]), after.problem)


def slot_of(replica_id: str, present: Mapping[int, tuple[int, str]]) -> int:
    """Where the tail of a replica goes: where it is, else where nothing is, else in the place of the one that
    was written longest ago. present: by slot, when it was written (its sequence), and of which replica."""
    for slot, (_, held) in present.items():
        if held == replica_id:
            return slot
    free = [slot for slot in range(MOST_REPLICAS) if slot not in present]
    return free[0] if free else min(present, key=lambda slot: present[slot][0])


def encode(tail: Tail) -> bytes:
    """At most `MOST_BYTES`: what cannot be compressed so far loses its oldest lines."""
    lines = tail.lines
    while True:
        document = {
            "replica_id": tail.replica_id,
            "problem": tail.problem[:1000],
            "lines": [[line.id, (line.written_at - _EPOCH) // _MICROSECOND, line.message] for line in lines],
        }
        data = zlib.compress(json.dumps(document, separators=(",", ":")).encode())
        if len(data) <= MOST_BYTES:
            return data
        lines = lines[-(-len(lines) // 8) :]


def decode(data: bytes) -> Tail | None:
    """None for what is none; a later version's, for example."""
    try:
        document = json.loads(zlib.decompressobj().decompress(data, MOST_UNPACKED))
        lines = (
            TailLine(_text(line_id), _text(message), _EPOCH + micros * _MICROSECOND)
            for line_id, micros, message in document["lines"]
        )
        return Tail(_text(document["replica_id"]), tuple(lines), _text(document["problem"]))
    except (zlib.error, ValueError, KeyError, TypeError, OverflowError):
        return None


def _text(said: object) -> str:
    """Raises TypeError for what is none, and ValueError for what cannot be shown."""
    if not isinstance(said, str):
        raise TypeError(said)
    said.encode()
    return said


def _cut(line: TailLine) -> TailLine:
    message = line.message.encode()
    if len(message) <= LONGEST_LINE:
        return line
    return replace(line, message=message[:LONGEST_LINE].decode(errors="ignore"))


def _size(line: TailLine) -> int:
    return BYTES_OF_A_TIME + len(line.message.encode())
