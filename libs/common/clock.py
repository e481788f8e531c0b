"""The only module that reads a clock. Rules take `now`; shells are given a `Clock`."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present as an aware datetime in UTC."""

Ticks = Callable[[], float]
"""Returns seconds on a clock that never goes backwards; only differences mean anything."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def monotonic() -> float:
    return time.monotonic()


def to_rfc3339(moment: datetime) -> str:
    """`2026-01-31T12:00:00.123456Z`, the one spelling of a time on every wire."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
