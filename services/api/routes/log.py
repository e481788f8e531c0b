"""The log as a whole, for its operator: verify, export, import."""

import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from libs.common.errors import AppendConflict, Conflict
from libs.common.log.export import export, import_
from libs.common.log.verify import Corrupt, LogHead, verify
from services.api.database import read_checkpoint
from services.api.replay import difference
from services.api.routes.context import Api, ApiContext, ApiRoute
from services.api.schemas.log import ImportAnswer, VerifyAnswer

router = APIRouter(prefix="/v1/log", tags=["log"], route_class=ApiRoute)

MAX_LINE = 8 * 1024 * 1024
"""Longer than any event that the broker takes."""


@router.get("/verify")
async def verify_log(api: ApiContext) -> VerifyAnswer:
    """Every chain, every sequence, and that each read model equals a fresh replay.

    The log must also reach the api's checkpoint and the head of the last export, and be the same up to it.
    """
    async with api.engine.connect() as connection:
        checkpoint = await read_checkpoint(connection)
    result = await verify(api.archive.read_raw(), at_least=checkpoint, head=_exported_head(api))
    if isinstance(result, Corrupt):
        return VerifyAnswer(ok=False, sequence=result.sequence, reason=result.reason)
    if reason := await difference(api.log, api.engine):
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
            events = await import_(archive, _lines(request))
    except AppendConflict as error:
        raise Conflict("Somebody wrote to the log during the import") from error
    await api.projector.wait_for(await api.log.last_sequence())
    return ImportAnswer(events=events)


async def _export(api: Api) -> AsyncIterator[bytes]:
    last = b""
    async for line in export(api.archive):
        last = line
        yield line
    head = json.loads(last)["head"]
    part = api.exported_head.with_suffix(".part")
    part.write_text(json.dumps(head))
    part.replace(api.exported_head)


def _exported_head(api: Api) -> LogHead | None:
    if not api.exported_head.exists():
        return None
    head = json.loads(api.exported_head.read_text())
    return LogHead(head["sequence"], head["events"], head["digest"])


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
