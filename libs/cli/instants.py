"""Times and places in the log, as a person gives them."""

from datetime import datetime

from libs.cli.errors import VALIDATION, CommandFailed


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
