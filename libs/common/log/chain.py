"""The hash that chains an event to the one before it in its aggregate, in each of its versions. Pure.

| version | stored as   | covers                                                                      |
|---------|-------------|-----------------------------------------------------------------------------|
| 1       | `<hex>`     | the previous hash, subject, id, type, payload                               |
| 2       | `2:<hex>`   | the previous hash, subject, payload and every header of the event itself:   |
|         |             | also actor, source, time, cause, trace, schema and its place in a batch     |

Version 2 is what is written. Version 1 stays readable for ever. Within one aggregate version 2 is never
followed by version 1: otherwise who edits an event could fall back to the hash that does not cover the edit.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

from libs.common.events.envelope import chain_hash
from libs.common.log import wire

VERSION = "2"
FIRST_VERSION = "1"
_PREFIX = f"{VERSION}:"


def version_of(stored: str) -> str:
    """Of a stored hash. The empty one, before an aggregate's first event, is of the first version."""
    version, colon, _ = stored.partition(":")
    return version if colon else FIRST_VERSION


def envelope_hash(previous: str, subject: str, headers: Mapping[str, str], data: bytes) -> str:
    """The hash of version 2, as it is stored."""
    return _hash_of(previous, subject, envelope(headers), data)


def _hash_of(previous: str, subject: str, covered: bytes, data: bytes) -> str:
    parts = (previous.encode(), subject.encode(), covered, data)
    return _PREFIX + hashlib.sha256(framed(parts)).hexdigest()


def framed(parts: Iterable[bytes]) -> bytes:
    """All of them, each behind its length, so that none run together."""
    return b"".join([len(part).to_bytes(8, "big") + part for part in parts])


def envelope(headers: Mapping[str, str]) -> bytes:
    """The headers of an event in one form: a line `name:value` for each, by name, without its hash."""
    form, covered = _form(tuple(headers))
    return (form % tuple(map(headers.__getitem__, covered))).encode()


@lru_cache(maxsize=256)
def _form(names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The lines without the values, and the names of those: what the hash covers, in the order in which it
    does. Few events differ in their names."""
    covered = tuple(sorted(name for name in names if wire.is_own(name) and name != wire.HASH))
    return "".join([f"{name.replace('%', '%%')}:%s\n" for name in covered]), covered


def problem(
    previous: str, subject: str, headers: Mapping[str, str], data: bytes, *, covered: bytes
) -> str | None:
    """Why the hash of an event does not follow from it and from the hash before; None if it does.

    covered: the headers as `envelope` gives them.
    """
    stored = headers.get(wire.HASH, "")
    version = version_of(stored)
    if version == VERSION:
        expected = _hash_of(previous, subject, covered, data)
    elif version != FIRST_VERSION:
        return f"its hash is of version {version[:20]!r}, which this version of Specstream does not know"
    elif version_of(previous) != FIRST_VERSION:
        return "its hash steps back to version 1 after one of a later version in its aggregate"
    else:
        event_id, event_type = headers.get(wire.ID, ""), headers.get(wire.TYPE, "")
        expected = chain_hash(previous, subject, event_id, event_type, data)
    if stored != expected:
        return "its hash does not follow from its content and the event before it"
    return None
