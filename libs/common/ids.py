"""Identifiers and the few things derived from them. Pure but for `new_id`, which is random."""

import hashlib
import re
import uuid
from typing import Final

DEFAULT_PROJECT: Final = "default"
"""Id and name of the project that exists before the first event, so that no event makes it and an empty log
is really empty. Every other id is made by `new_id`."""

AN_ID: Final = "32 hexadecimal digits in lower case"

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


def new_id() -> str:
    """A fresh 32-digit hexadecimal identifier: a valid subject token, host label and file name."""
    return uuid.uuid4().hex


def is_id(text: str) -> bool:
    """Whether `new_id` can have made it."""
    return _ID.fullmatch(text) is not None


def name_key(parent: str, name: str) -> str:
    """The id of the `name` aggregate that guards `name` under `parent` (a project, or `_team`).

    A hash, so that a name may hold anything printable; the NUL keeps ("a", "bc") and ("ab", "c") apart.
    """
    return hashlib.sha256(f"{parent}\0{name}".encode()).hexdigest()[:32]
