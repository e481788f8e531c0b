"""Reading what another version of Specstream may have written: later keys are named, missing ones refused."""

from dataclasses import MISSING, fields
from functools import cache
from typing import Any

import structlog

from libs.common.errors import ClusterUnavailable

logger = structlog.get_logger()


class UnreadableRecord(ClusterUnavailable):
    """A file of the home that this version cannot read. The message names it and what is wrong with it."""


def known_fields(record: type[Any], stored: dict[str, Any], path: str) -> dict[str, Any]:
    """What `stored` says of the fields of a dataclass.

    A key that it does not have was written by a later version: it is left out, and the log says so, once for
    each. Raises UnreadableRecord where a field is missing that has no default.
    """
    own = {field.name: field for field in fields(record)}
    for key in sorted(stored.keys() - own.keys()):
        _say_once(record.__name__, key)
    missing = [
        name
        for name, field in own.items()
        if name not in stored and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise UnreadableRecord(f"{path} cannot be read: it lacks {', '.join(missing)}")
    return {name: value for name, value in stored.items() if name in own}


def unreadable(path: str, error: Exception) -> UnreadableRecord:
    return UnreadableRecord(f"{path} cannot be read: {error}")


@cache
def _say_once(kind: str, key: str) -> None:
    logger.warning("a key that a later version has stored is not understood", kind=kind, key=key)
