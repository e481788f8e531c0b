"""How long appends take, and what becomes of them, for whoever watches the platform."""

from collections.abc import Iterator
from contextlib import contextmanager

from libs.common import telemetry
from libs.common.clock import Ticks, monotonic
from libs.common.errors import AppendConflict, LogUnavailable


class Appends:
    """source: `specstream/<service>`."""

    def __init__(self, source: str, ticks: Ticks = monotonic) -> None:
        self._service = source.rpartition("/")[2]
        self._ticks = ticks
        self._durations = telemetry.histogram(
            "specstream.log.append.duration",
            unit="s",
            description="How long an append took, until its outcome was known",
        )

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Around one append, its repetitions included."""
        began, outcome = self._ticks(), "failed"
        try:
            yield
            outcome = "stored"
        except AppendConflict:
            outcome = "conflict"
            raise
        except LogUnavailable:
            outcome = "unavailable"
            raise
        finally:
            self._durations.record(self._ticks() - began, {"service": self._service, "outcome": outcome})
