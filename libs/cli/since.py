"""How far back: `30m`, `12h`, `7d`, or a time. Pure."""

import re
from datetime import datetime, timedelta

from libs.cli.errors import VALIDATION, CommandFailed

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str, *, now: datetime, option: str = "--since") -> datetime:
    """Raises CommandFailed. A time without an offset is the reader's local one, as commands print times."""
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise CommandFailed(
            f"{option}: {text!r} is neither so long ago, such as 30m, 12h or 7d, nor a time such as "
            "2026-01-31T12:00:00Z",
            status=VALIDATION,
        ) from None
