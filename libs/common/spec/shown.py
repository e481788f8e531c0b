"""How a wrong value is shown back: short, valid JSON, and never what looks like a secret."""

import math
import re
from collections.abc import Sized
from typing import Any

_SECRETIVE = re.compile("secret|password|token|key|credential", re.IGNORECASE)
_LONGEST = 100


def shown(path: tuple[str | int, ...], value: Any) -> Any:
    """`value` as an issue at `path` may carry it. A list or an object is described, not repeated, and a
    field whose name speaks of a secret shows nothing, unless it only refers to one (promise 7)."""
    match value:
        case None | bool():
            return value
        case int():
            return value if value.bit_length() <= 64 else "a whole number of more than 19 digits"
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return None if _is_secretive(path) and value[:7].lower() != "secret:" else shortened(value)
        case dict():
            return f"an object with {_count(value, 'field')}"
        case list() | tuple():
            return f"a list with {_count(value, 'value')}"
        case _:
            return f"a {type(value).__name__}"


def shortened(text: str) -> str:
    """At most 101 characters, lone surrogates spelled out."""
    return spelled_out(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def spelled_out(text: str) -> str:
    """With lone surrogates as `\\udcff`: no JSON and no header can hold them."""
    return text.encode("utf-8", "backslashreplace").decode()


def _is_secretive(path: tuple[str | int, ...]) -> bool:
    return bool(path) and isinstance(path[-1], str) and _SECRETIVE.search(path[-1]) is not None


def _count(values: Sized, noun: str) -> str:
    return f"{len(values)} {noun}{'' if len(values) == 1 else 's'}"
