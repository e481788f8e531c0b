"""Identifiers and the few things derived from them. Pure but for `new_id`, which is random."""

import hashlib
import uuid


def new_id() -> str:
    """A fresh 32-digit hexadecimal identifier: a valid subject token, host label and file name."""
    return uuid.uuid4().hex


def name_key(parent: str, name: str) -> str:
    """The id of the `name` aggregate that guards `name` under `parent` (a project, or `_team`).

    A hash, so that a name may hold anything printable; the NUL keeps ("a", "bc") and ("ab", "c") apart.
    """
    return hashlib.sha256(f"{parent}\0{name}".encode()).hexdigest()[:32]
