"""Times and places in the log, as a person gives them."""

import re
from datetime import UTC, datetime, timedelta

from libs.cli.errors import VALIDATION, CommandFailed
from libs.common.clock import to_rfc3339

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)


def since(text: str, *, now: datetime, option: str = "--since") -> str:
    """A time (RFC 3339), from a length such as `7d` or a time; a time without an offset is the reader's."""
    found = _AGO.fullmatch(text)
    if found is not None:
        return to_rfc3339(now - timedelta(**{_UNITS[found[2]]: int(found[1])}))
    if text.isdecimal():
        raise _refused(option, text, "a length such as 7d, 12h or 30m, nor a time")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _refused(option, text, "a length such as 7d, 12h or 30m, nor a time") from None
    return to_rfc3339(moment.astimezone(UTC))


def _refused(option: str, text: str, expected: str) -> CommandFailed:
    message = f"{option}: {text!r} is neither {expected} such as 2026-01-31T12:00:00Z"
    return CommandFailed(message, status=VALIDATION)


def instant(text: str | None, *, option: str = "--at") -> str | None:
    """A time without an offset is the reader's local one, as these commands print times."""
    if text is None or text.isdecimal():
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(
            f"{option}: {text!r} is neither a time such as 2026-01-31T12:00:00Z nor an event sequence",
            status=VALIDATION,
        ) from None
    return text if moment.tzinfo else moment.astimezone().isoformat()
