"""Whether the platform is ready. Needs no key."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from libs.common.clock import to_rfc3339
from libs.common.errors import LogUnavailable
from services.api.edge.refusals import error_answer
from services.api.edge.routes.context import Api, ApiContext, ApiRoute
from services.api.edge.schemas.base import ErrorAnswer
from services.api.edge.schemas.health import HealthDetail
from services.api.health.copies import PATIENCE
from services.api.health.platform import (
    LogView,
    not_ready,
    notices,
    problems,
    scaling,
    set_aside,
    set_aside_header,
)
from services.api.readmodels.projector import EVERYTHING

LOG_TIMEOUT_S = 3.0

SET_ASIDE = "x-specstream-set-aside"

router = APIRouter(tags=["health"], route_class=ApiRoute)


@router.head("/v1/health", include_in_schema=False)  # as many a watcher asks
@router.get(
    "/v1/health",
    response_model=Literal["HEALTHY"] | HealthDetail,
    responses={
        503: {
            "description": "Not ready; `details.notReady` names what is not, `problems` says why, and "
            "`setAside` what else is worked without. With `detail=true` a HealthDetail.",
            "model": ErrorAnswer,
        }
    },
)
async def health(
    api: ApiContext,
    detail: Annotated[bool, Query(description="Answer with an object instead of one word.")] = False,
) -> JSONResponse:
    """200 when the log, all five services and Envoy are really ready.

    A deployment that a service cannot handle does not make the platform unready: it is set aside, tried again
    with growing pauses, and named in the header `x-specstream-set-aside` and in the detail.
    """
    log, now = await _log_view(api), api.clock()
    heard, unled = api.heartbeats.by_service, api.heartbeats.unled(now)
    names = not_ready(heard, log, now=now, unled=unled, routers=api.heartbeats.routers)
    aside = set_aside_header(heard)
    headers = {SET_ASIDE: aside} if aside else {}
    if names:
        headers |= {"Retry-After": "1"}
    facts = {
        "notReady": names,
        "problems": problems(heard, log, unled=unled),
        "setAside": set_aside(heard),
        "notices": [*notices(heard), *api.heartbeats.missing(now)],
    }
    if detail:
        status = "NOT_READY" if names else "HEALTHY"
        content = {"status": status, **facts, "processes": api.heartbeats.processes}
        content["copies"] = api.heartbeats.copies(now)
        if (told := scaling(heard, now=now)) is not None:
            content["scaling"] = told
        return JSONResponse(content, 503 if names else 200, headers=headers)
    if names:
        message = f"Not ready: {', '.join(names)}"
        return error_answer(503, "PRECONDITION_FAILED", message, details=facts, headers=headers)
    return JSONResponse("HEALTHY", headers=headers)


async def _log_view(api: Api) -> LogView:
    due_before = api.clock() - PATIENCE
    try:
        async with asyncio.timeout(LOG_TIMEOUT_S):
            last = await api.log.last_sequence()
            is_projected = True
            next_one = api.projector.sequence + 1
            if last >= next_one:
                async for event in api.log.read(EVERYTHING, after=next_one - 1, until=next_one):
                    is_projected = event.time > due_before
    except (LogUnavailable, TimeoutError):
        return LogView(answers=False, problem=api.log_condition.problem)
    return LogView(
        answers=True,
        problem=api.log_condition.problem,
        due_sequence=await api.queries.newest_spec_before(to_rfc3339(due_before)),
        is_projected=is_projected,
    )
