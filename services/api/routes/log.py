"""The log as a whole, for its operator: verify, export, import."""

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Query as QueryParameters
from fastapi.responses import StreamingResponse
from pydantic import Field

from libs.common.errors import AppendConflict, Conflict
from libs.common.log.export import export, import_
from libs.common.log.head import LogHead
from libs.common.log.verify import Corrupt, verify
from services.api.database import read_checkpoint
from services.api.replay import difference
from services.api.routes.context import Api, ApiContext, ApiRoute, Query, refuse
from services.api.schemas.log import ImportAnswer, VerifyAnswer

CHUNK = 1 << 16


class HeadUnreadable(Exception):
    """What an export left to compare with is not of this version, or broken."""


router = APIRouter(prefix="/v1/log", tags=["log"], route_class=ApiRoute)

MAX_LINE = 8 * 1024 * 1024
"""Longer than any event that the broker takes."""


class VerifyQuery(Query):
    """head: of an export, as `log export` printed it."""

    head: str | None = Field(default=None, max_length=200)


@router.get("/verify")
async def verify_log(query: Annotated[VerifyQuery, QueryParameters()], api: ApiContext) -> VerifyAnswer:
    """Every chain, every sequence, and that each read model equals a fresh replay.

    The log must also reach the api's checkpoint and the head of the last export, or the one that is given,
    and be the same up to it. It detects gaps, messages that are no events, every change of what an event's
    hash covers, and read models that differ from a replay; whoever rewrites the log so that all hashes fit
    again, or takes away its newest events, is detected only against a head that was kept elsewhere.
    """
    async with api.engine.connect() as connection:
        checkpoint = await read_checkpoint(connection)
    try:
        head = _exported_head(api) if query.head is None else _given_head(query.head)
    except HeadUnreadable as error:
        return VerifyAnswer(ok=False, sequence=0, reason=str(error))
    folder = api.exported_head.parent
    result = await verify(api.archive.read_raw(), at_least=checkpoint, head=head, folder=folder)
    if isinstance(result, Corrupt):
        return VerifyAnswer(ok=False, sequence=result.sequence, reason=result.reason)
    if reason := await difference(api.log, api.engine, folder=folder):
        return VerifyAnswer(ok=False, sequence=checkpoint, reason=reason)
    return VerifyAnswer(ok=True, events=result.events, aggregates=result.aggregates)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
async def export_log(api: ApiContext) -> StreamingResponse:
    """Every event as a line of JSON, then the head of the log, which `verify` checks from then on."""
    return StreamingResponse(_export(api), media_type="application/x-ndjson")


@router.post(
    "/import",
    openapi_extra={
        "requestBody": {
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        }
    },
)
async def import_log(request: Request, api: ApiContext) -> ImportAnswer:
    """Fill an empty log with an export. Only before the first event; of any size."""
    try:
        async with api.open_archive() as archive:
            events = await import_(archive, _lines(request), folder=api.exported_head.parent)
    except AppendConflict as error:
        raise Conflict("Somebody wrote to the log during the import") from error
    await api.projector.wait_for(await api.log.last_sequence())
    return ImportAnswer(events=events)


async def _export(api: Api) -> AsyncIterator[bytes]:
    """In chunks of whole lines: each chunk costs, and a line is short."""
    last = b""
    chunk: list[bytes] = []
    size = 0
    async for line in export(api.archive):
        last = line
        chunk.append(line)
        size += len(line)
        if size >= CHUNK:
            yield b"".join(chunk)
            chunk, size = [], 0
    yield b"".join(chunk)
    head = json.loads(last)["head"]
    part = api.exported_head.with_suffix(".part")
    part.write_text(json.dumps(head))
    part.replace(api.exported_head)


def _exported_head(api: Api) -> LogHead | None:
    if not api.exported_head.exists():
        return None
    try:
        return LogHead.from_wire(json.loads(api.exported_head.read_text()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HeadUnreadable(f"the head of the last export cannot be read: {error}") from error


def _given_head(text: str) -> LogHead:
    try:
        return LogHead.parse(text)
    except ValueError as error:
        allowed = "what `log export` printed: <version>:<sequence>:<events>:<digest>"
        raise refuse("head", "is not the head of an export", text, allowed) from error


async def _lines(request: Request) -> AsyncIterator[bytes]:
    """The body by lines. Too long a line is given in pieces: it will not be read as an event."""
    rest = b""
    async for chunk in request.stream():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > MAX_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest
