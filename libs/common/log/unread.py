"""Saying what this version of Specstream does not understand of the log: once for each kind, and counted."""

from collections.abc import Callable

import structlog

from libs.common.events import catalogue
from libs.common.events.envelope import Recorded
from libs.common.telemetry.metrics import counter

logger = structlog.get_logger()

_MOST_KINDS = 200
"""Said by one process: types of events are names that somebody else may choose."""


Tell = Callable[[str], None]
"""Takes what was not understood, in one sentence for an operator, without anything that the event says."""


def tell_nobody(_: str) -> None:
    """Where nobody has to be told, as in a tool."""


class Unread:
    """What one reader of the log has met.

    tell: is told the first event of each kind that is not understood.
    """

    def __init__(self, tell: Tell = tell_nobody) -> None:
        self._tell = tell
        self._said: set[tuple[str, ...]] = set()
        self._events = counter(
            "specstream.log.unread_events",
            unit="{event}",
            description="Events read that this version does not understand, or only in part",
        )

    def note(self, event: Recorded) -> Recorded:
        """The event itself, when it was seen whether all of it is understood."""
        if event.fact is None:
            self._say(
                "an event is not understood and changes nothing", event, event.type, _kind(event.unknown)
            )
        elif unknown := catalogue.unknown_fields(event.fact, event.data):
            self._say("fields of an event are not understood and ignored", event, event.type, *unknown)
        return event

    def _say(self, what: str, event: Recorded, *kind: str) -> None:
        self._events.add(1)
        if kind in self._said or len(self._said) >= _MOST_KINDS:
            return
        self._said.add(kind)
        fields = {"fields": list(kind[1:])} if event.fact is not None else {"reason": event.unknown}
        logger.warning(what, event_type=event.type, sequence=event.sequence, **fields)
        if event.fact is None:
            about = f"event {event.sequence}, {event.type} of {event.aggregate.kind} {event.aggregate.id}"
            told = f"{about}, is not understood and changes nothing: {_kind(event.unknown)}"
            self._tell(told.encode(errors="replace").decode()[:500])


def _kind(reason: str) -> str:
    """Without the value that was met, of which there may be as many as there are events."""
    return reason.partition(": ")[0]
