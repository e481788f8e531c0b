"""The log as a whole, for its operator: verify, export, import."""

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as QueryParameters
from fastapi.responses import StreamingResponse
from pydantic import Field

from libs.common.clock import monotonic
from libs.common.errors import Conflict, LogImporting
from libs.common.log.export import export
from libs.common.log.head import LogHead
from libs.common.log.verify import Corrupt, Verified
from services.api.archive.importer import ImportState
from services.api.archive.verification import Reached, verify_all
from services.api.edge.routes.context import Api, ApiContext, ApiRoute, Query, refuse
from services.api.edge.schemas.log import ImportAnswer, ImportProgress, VerifyAnswer
from services.api.readmodels.not_shown import NotVisible

CHUNK = 1 << 16

NDJSON = "application/x-ndjson"

TELL_EVERY_S = 0.5


class HeadUnreadable(Exception):
    """What an export left to compare with is not of this version, or broken."""


router = APIRouter(prefix="/v1/log", tags=["log"], route_class=ApiRoute)

ANSWER_WITHIN_S = 10.0
"""A longer import is answered for by `GET /v1/log/import`."""

MAX_LINE = 8 * 1024 * 1024
"""Longer than any event that the broker takes."""


class VerifyQuery(Query):
    """head: of an export, as `log export` printed it."""

    head: str | None = Field(default=None, max_length=200)


@router.get(
    "/verify",
    response_model=VerifyAnswer,
    responses={200: {"content": {NDJSON: {"schema": {"type": "string"}}}}},
)
async def verify_log(
    query: Annotated[VerifyQuery, QueryParameters()], request: Request, api: ApiContext
) -> Response:
    """Every chain, every sequence, and that each read model equals a fresh replay.

    The log must also reach the api's checkpoint and the head of the last export, or the one that is given,
    and be the same up to it. It detects gaps, messages that are no events, every change of what an event's
    hash covers, and read models that differ from a replay; whoever rewrites the log so that all hashes fit
    again, or takes away its newest events, is detected only against a head that was kept elsewhere.

    Who accepts `application/x-ndjson` hears meanwhile how far it is: `{"verified": …, "events": …}` in a line
    each, then the answer as the last line.
    """
    findings = _findings(api, None if query.head is None else _given_head(query.head))
    if NDJSON in request.headers.get("accept", ""):
        return StreamingResponse(_told(findings), media_type=NDJSON)
    answer = [found async for found in findings if isinstance(found, VerifyAnswer)][-1]
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")


async def _findings(api: Api, given: LogHead | None) -> AsyncIterator[Reached | VerifyAnswer]:
    """How far it is, and at last the answer."""
    if importing := await api.archive.importing():
        reason = (
            f"{importing} events: an import is not whole; it goes on by itself, or with the same file again"
        )
        yield VerifyAnswer(ok=False, sequence=importing.sequence, reason=reason)
        return
    try:
        head = given or _exported_head(api, await api.log.identity())
    except HeadUnreadable as error:
        yield VerifyAnswer(ok=False, sequence=0, reason=str(error))
        return
    async for found in verify_all(api.archive, api.engine, head=head, folder=api.exported_head.parent):
        match found:
            case Reached():
                yield found
            case Corrupt(sequence=sequence, reason=reason):
                yield VerifyAnswer(ok=False, sequence=sequence, reason=reason)
            case Verified(events=events, aggregates=aggregates, unread=unread):
                yield VerifyAnswer(ok=True, events=events, aggregates=aggregates, unread=unread or None)


async def _told(findings: AsyncIterator[Reached | VerifyAnswer]) -> AsyncIterator[str]:
    """One line each; not more often than a reader can follow."""
    told_at = monotonic()
    async for found in findings:
        match found:
            case Reached(sequence=sequence, last=last) if monotonic() - told_at >= TELL_EVERY_S:
                told_at = monotonic()
                yield json.dumps({"verified": sequence, "events": last}) + "\n"
            case VerifyAnswer():
                yield found.model_dump_json(by_alias=True) + "\n"


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {NDJSON: {"schema": {"type": "string"}}}}},
)
async def export_log(api: ApiContext) -> StreamingResponse:
    """Every event as a line of JSON, then the head of the log, which `verify` checks from then on."""
    if importing := await api.archive.importing():
        raise LogImporting(importing.sequence, importing.events)
    return StreamingResponse(_export(api), media_type=NDJSON)


@router.post(
    "/import",
    openapi_extra={
        "requestBody": {
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        }
    },
)
async def import_log(request: Request, response: Response, api: ApiContext) -> ImportAnswer:
    """Fill an empty log with an export. Only before the first event; of any size.

    202 when it takes longer: it goes on, and `GET` of the same address tells how far it is.
    """
    await api.importer.take(_lines(request))
    outcome = await api.importer.finished(within_s=ANSWER_WITHIN_S)
    if outcome.state is ImportState.FAILED:
        raise Conflict(outcome.message)
    if outcome.state is ImportState.DONE:
        try:
            await api.projector.wait_for(outcome.events)
        except NotVisible:
            response.status_code = 202
    else:
        response.status_code = 202
    return ImportAnswer(events=outcome.events)


@router.get("/import")
async def show_import(api: ApiContext) -> ImportProgress:
    """How the newest import stands. `storing` until every event of it is in the log and in the answers."""
    outcome = api.importer.outcome
    importing = await api.archive.importing()
    state, message = outcome.state, outcome.message
    stored = importing.sequence if importing else outcome.events if state is ImportState.DONE else 0
    shown = min(api.projector.sequence, stored)
    if state is ImportState.DONE and shown < outcome.events:
        state = ImportState.STORING
    if importing and state is not ImportState.STORING:
        state = ImportState.FAILED
        message = f"{importing} events: the import broke off; it goes on with the same file again"
    return ImportProgress(
        state=state.value,
        events=importing.events if importing else outcome.events,
        stored=stored,
        shown=shown,
        digest=outcome.digest or None,
        message=message or None,
    )


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
    head = json.loads(last)["head"] | {"log": await api.log.identity()}
    part = api.exported_head.with_suffix(".part")
    part.write_text(json.dumps(head))
    part.replace(api.exported_head)


def _exported_head(api: Api, log: str) -> LogHead | None:
    """Of the last export, unless that was of another log. One of an earlier version does not say of which."""
    if not api.exported_head.exists():
        return None
    try:
        head = json.loads(api.exported_head.read_text())
        return LogHead.from_wire(head) if head.get("log", log) == log else None
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
