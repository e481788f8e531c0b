"""Whether the broker can store an event of a file, and gives it back as it was. Pure.

Whoever imports a file chooses everything in it, and part of what the broker is told is text that stands in
its protocol as it is. So nothing comes that far that would end the line it stands in, speak to the broker
instead of being stored, or come back as something else than was verified.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from libs.common.log import wire
from libs.common.log.port import Stored

LONGEST_SUBJECT: Final = 1024
"""Bytes. The line that it is sent in has at most 4,096, with a place for the answer."""

MOST_HEADERS: Final = 60 * 1024
"""Bytes of the headers, of which the broker takes 64 KiB with those of its batch and its import."""

MOST_BYTES: Final = 1024 * 1024 - 1024
"""Of headers and payload, of which the broker takes 1 MiB with the same."""

_SMALL: Final = 8 * 1024
"""Characters, none of which has more than four bytes."""

_SUBJECT: Final = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
_NAME: Final = re.compile(r"[!-9;-~]+")
_OF_ANSWERS: Final = frozenset({"status", "description"})
"""Where a message without a payload has these, clients take it for an answer of the broker's own."""


def problem(event: Stored) -> str | None:
    """Why the broker cannot store it as it is; None if it can. Raises TypeError for headers that are not
    texts."""
    text = "".join((*event.headers, *event.headers.values()))
    if "\n" in text or "\r" in text:
        return "a header is not one line of text"
    if wrong := _of_subject(event.subject) or _of_names(tuple(event.headers)):
        return wrong
    for name, value in event.headers.items():
        if value != value.strip(wire.SPACE):
            return f"there is space around the value of its header {name}"
    if len(text) + len(event.data) > _SMALL:
        return _of_size(event.headers, event.data)
    return None


@lru_cache(maxsize=1024)
def _of_subject(subject: str) -> str | None:
    if len(subject.encode()) > LONGEST_SUBJECT:
        return f"its subject has more than {LONGEST_SUBJECT:,} bytes"
    if not _SUBJECT.fullmatch(subject):
        return f"its subject, {subject!r}, has a part that is empty, or a blank, * or > in one"
    return None


@lru_cache(maxsize=256)
def _of_names(names: tuple[str, ...]) -> str | None:
    """Few events differ in them."""
    for name in names:
        if not _NAME.fullmatch(name):
            return f"{name[:100]!r} is not the name of a header"
        if name != wire.MESSAGE_ID and (not wire.is_own(name) or name.lower() in _OF_ANSWERS):
            return f"its header {name[:100]} is for the broker, not of an event"
    return None


def _of_size(headers: Mapping[str, str], data: bytes) -> str | None:
    size = sum(len(f"{name}: {value}\r\n".encode()) for name, value in headers.items())
    if size > MOST_HEADERS:
        return f"its headers have {size:,} bytes, and may have {MOST_HEADERS:,}"
    if size + len(data) > MOST_BYTES:
        return f"it has {size + len(data):,} bytes, and may have {MOST_BYTES:,}"
    return None
