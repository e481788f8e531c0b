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
    try:
        if found is not None:
            return to_rfc3339(now - timedelta(**{_UNITS[found[2]]: int(found[1])}))
        # Digits alone are a date to the parser, and a mistake to whoever meant a length.
        moment = None if text.isdecimal() else _moment(text)
        if moment is not None:
            return to_rfc3339(moment.astimezone(UTC))
    except (OverflowError, ValueError) as error:
        raise _out_of_years(text, option) from error
    message = f"{option}: {text!r} is neither a length such as 7d, 12h or 30m, nor a time such as {_TIME}"
    raise CommandFailed(message, status=VALIDATION)


def instant(text: str | None, *, option: str = "--at") -> str | None:
    """A time without an offset is the reader's local one, as these commands print times."""
    if text is None or text.isdecimal():
        return text
    moment = _moment(text)
    if moment is None:
        message = f"{option}: {text!r} is neither a time such as {_TIME} nor an event sequence"
        raise CommandFailed(message, status=VALIDATION)
    try:
        return text if moment.tzinfo else moment.astimezone().isoformat()
    except (OverflowError, ValueError) as error:
        raise _out_of_years(text, option) from error


def _out_of_years(text: str, option: str) -> CommandFailed:
    """A length that goes back too far, or a time at the edge whose offset leads over it."""
    message = f"{option}: {text!r} is no time of the years 1 to 9999 (allowed: a time such as {_TIME})"
    return CommandFailed(message, status=VALIDATION)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
