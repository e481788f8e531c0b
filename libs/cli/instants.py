"""Times and places in the log, as a person gives them."""

import re
from datetime import UTC, datetime, timedelta

from libs.cli.errors import VALIDATION, CommandFailed
from libs.common.clock import to_rfc3339

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TIME = "2026-01-31T12:00:00Z"
_AGO = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)


def since(text: str, *, now: datetime, option: str = "--since") -> str:
    """A time (RFC 3339), from a length such as `7d` or a time; a time without an offset is the reader's."""
    found = _AGO.fullmatch(text)
    if found is not None:
        return to_rfc3339(now - timedelta(**{_UNITS[found[2]]: int(found[1])}))
    # Digits alone are a date to the parser, and a mistake to whoever meant a length.
    moment = None if text.isdecimal() else _moment(text)
    if moment is None:
        message = f"{option}: {text!r} is neither a length such as 7d, 12h or 30m, nor a time such as {_TIME}"
        raise CommandFailed(message, status=VALIDATION)
    return to_rfc3339(moment.astimezone(UTC))


def instant(text: str | None, *, option: str = "--at") -> str | None:
    """A time without an offset is the reader's local one, as these commands print times."""
    if text is None or text.isdecimal():
        return text
    moment = _moment(text)
    if moment is None:
        message = f"{option}: {text!r} is neither a time such as {_TIME} nor an event sequence"
        raise CommandFailed(message, status=VALIDATION)
    return text if moment.tzinfo else moment.astimezone().isoformat()


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
