"""The log as other systems read it: by pages, or as a stream of server-sent events. Straight from the log."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Request, Response
from fastapi import Query as QueryParameters
from fastapi.responses import StreamingResponse
from pydantic import Field

from libs.common.errors import LogUnavailable, Temporary
from libs.common.events.catalogue import CATALOGUE
from libs.common.events.envelope import Recorded, select
from libs.common.ids import AN_ID, is_id
from libs.common.log.consumer_names import MOST_EVENT_STREAMS
from libs.common.log.port import EventLog
from libs.common.log.timeline import BEGINNING
from services.api.edge.routes.context import Api, ApiContext, ApiRoute, Query, WholeNumber, refuse
from services.api.edge.schemas.event import EventAnswer, EventPage
from services.api.readmodels.projector import Projector

logger = structlog.get_logger()

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=ApiRoute)

KEEP_ALIVE_S = 10.0
"""A comment after so much silence, so that neither side takes the stream for dead."""

COMMENT = b": still here\n"
"""No blank line after it: some readers take one for an event without data."""

RETRY_S = 0.5

MAX_SEQUENCE = 2**63 - 1


class EventsQuery(Query):
    """after: a sequence; what is newer comes. limit: of one page; refused where a stream is asked for."""

    deployment_id: str | None = Field(default=None, alias="deploymentId")
    type: str | None = Field(default=None, description="A name in the catalogue of events.")
    after: WholeNumber = Field(default=0, ge=0, le=MAX_SEQUENCE)
    limit: WholeNumber = Field(default=100, ge=1, le=1000)


@router.get(
    "",
    response_model=EventPage,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def list_events(
    request: Request,
    query: Annotated[EventsQuery, QueryParameters()],
    api: ApiContext,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response | EventPage:
    """Events in the order of the log. With `Accept: text/event-stream` a stream that never ends."""
    subjects = _filter(query)
    if "text/event-stream" not in request.headers.get("accept", "").lower():
        return await _page(api, subjects, query)
    if "limit" in query.model_fields_set:
        raise refuse("limit", "is of a page, and a stream never ends", query.limit, "no limit, or no stream")
    after = query.after
    if last_event_id:
        if not (last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) <= 18):
            raise refuse("Last-Event-ID", "is not a sequence", last_event_id[:100], "a sequence")
        after = int(last_event_id)
    if len(api.event_streams) >= MOST_EVENT_STREAMS:
        raise Temporary(f"{MOST_EVENT_STREAMS} event streams are open, and there are no more at once")
    return StreamingResponse(
        _stream(api, subjects, query.type, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


class InOrder:
    """The events of one answer with the times that are shown.

    Of those that the api has not taken in yet it is the least that it can be, and never less than before.
    """

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._latest = BEGINNING

    def __call__(self, event: Recorded) -> Recorded:
        shown = self._projector.timeline.shown(event)
        self._latest = max(self._latest, shown.time)
        return replace(shown, time=self._latest)


def _filter(query: EventsQuery) -> str:
    if query.type is not None and query.type not in CATALOGUE:
        raise refuse("type", "is not a type of event", query.type[:100], sorted(CATALOGUE))
    if query.deployment_id is not None and not is_id(query.deployment_id):
        raise refuse("deploymentId", "is not the id of a deployment", query.deployment_id[:100], AN_ID)
    kind, event_type = "*", query.type or "*"
    if query.type is not None and CATALOGUE[query.type].is_paged:
        kind, event_type = CATALOGUE[query.type].aggregate, "*"  # its subjects end with their pages
    return select(kind=kind, aggregate_id=query.deployment_id or "*", event_type=event_type)


async def _page(api: Api, subjects: str, query: EventsQuery) -> EventPage:
    found: list[Recorded] = []
    async for event in api.log.read(subjects, after=query.after):
        if query.type in (None, event.type):
            found.append(event)
        if len(found) > query.limit:
            break
    shown = InOrder(api.projector)
    items = [EventAnswer.of(shown(event)) for event in found[: query.limit]]
    has_more = len(found) > query.limit
    return EventPage(items=items, has_more=has_more, next_page=str(items[-1].sequence) if has_more else None)


async def _stream(api: Api, subjects: str, event_type: str | None, after: int) -> AsyncIterator[bytes]:
    """Until the client leaves or the process ends. What cuts it off is taken up by `Last-Event-ID`."""
    events = _events(api.log, subjects, event_type, after)
    api.event_streams.add(events)
    stopping = asyncio.ensure_future(api.stopping.wait())
    shown = InOrder(api.projector)
    waiting = asyncio.ensure_future(anext(events))
    try:
        yield COMMENT
        while not api.stopping.is_set():
            await asyncio.wait({waiting, stopping}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                yield _message(shown(waiting.result()))
                waiting = asyncio.ensure_future(anext(events))
            else:
                yield COMMENT
    finally:
        api.event_streams.discard(events)
        stopping.cancel()
        waiting.cancel()
        await asyncio.gather(waiting, stopping, return_exceptions=True)
        await events.aclose()


async def _events(
    log: EventLog, subjects: str, event_type: str | None, after: int
) -> AsyncGenerator[Recorded, None]:
    """Never ends: while the log is away it waits, and goes on after the last event given."""
    while True:
        try:
            async for item in log.follow(subjects, after=after):
                if isinstance(item, Recorded):
                    after = item.sequence
                    if event_type in (None, item.type):
                        yield item
        except LogUnavailable as error:
            logger.warning("event stream has to wait", after=after, error=str(error))
            await asyncio.sleep(RETRY_S)


def _message(event: Recorded) -> bytes:
    data = EventAnswer.of(event).model_dump_json(by_alias=True)
    return f"id: {event.sequence}\nevent: {event.type}\ndata: {data}\n\n".encode()
