"""Events, as other systems read them."""

from typing import Any

from pydantic import Field

from libs.common.clock import to_rfc3339
from libs.common.events.envelope import Recorded
from services.api.edge.schemas.base import Answer


class EventAnswer(Answer):
    """type: the name in the catalogue, with which the last token of `subject` begins. data: the payload as it
    is stored.

    actor: who is answerable, as authenticated. causationSource: of a command that led to the event, the
    source that its publisher claims; null for everything else.
    """

    sequence: int
    id: str
    type: str
    subject: str
    time: str
    actor: str
    data: dict[str, Any]
    correlation_id: str
    causation_id: str | None
    causation_source: str | None

    @classmethod
    def of(cls, event: Recorded) -> "EventAnswer":
        return cls(
            sequence=event.sequence,
            id=event.event_id,
            type=event.type,
            subject=event.subject,
            time=to_rfc3339(event.time),
            actor=event.cause.actor,
            data=dict(event.data),
            correlation_id=event.cause.correlation_id,
            causation_id=event.cause.causation_id,
            causation_source=event.cause.causation_source,
        )


class EventPage(Answer):
    """Oldest first. nextPage: the `after` of the next page, there only when there is one."""

    items: list[EventAnswer]
    has_more: bool
    next_page: str | None = Field(default=None, exclude_if=lambda cursor: cursor is None)
