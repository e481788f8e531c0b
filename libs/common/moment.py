"""A time in a message of another process, which may say any."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("lies outside of what UTC can tell") from error


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""In UTC. What cannot be told in it is refused: whoever shows it would fail."""
