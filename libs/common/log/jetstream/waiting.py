"""How many events a service has still to take in, for whoever watches the platform."""

from libs.common import telemetry
from libs.common.log.jetstream.tail import Tail


class Waiting:
    """Of the first follower of a log that lives: that is the service itself, whoever else follows for a user.

    source: `specstream/<service>`.
    """

    def __init__(self, source: str) -> None:
        self._attributes = {"service": source.rpartition("/")[2]}
        self._gauge = telemetry.gauge(
            "specstream.log.waiting",
            unit="{event}",
            description="Events that are stored and that the service has not taken in yet",
        )
        self._first: object | None = None
        self._tail: Tail | None = None

    def begins(self, follower: object) -> None:
        if self._first is None:
            self._first = follower
            self._gauge.tell(self._now, self._attributes)

    def has(self, follower: object, tail: Tail | None) -> None:
        """tail: None while it has no consumer; then it is not known."""
        if follower is self._first:
            self._tail = tail

    def ends(self, follower: object) -> None:
        if follower is self._first:
            self._first = self._tail = None
            self._gauge.tell(None, self._attributes)

    def _now(self) -> float | None:
        tail = self._tail
        return None if tail is None else tail.waiting
