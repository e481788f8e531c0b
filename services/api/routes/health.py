"""Whether the platform is ready. Needs no key."""

import asyncio
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from libs.common.clock import to_rfc3339
from libs.common.errors import LogUnavailable
from services.api.health import PATIENCE, LogView, not_ready, problems
from services.api.projector import EVERYTHING
from services.api.refusals import error_answer
from services.api.routes.context import Api, ApiContext, ApiRoute
from services.api.schemas.base import ErrorAnswer

LOG_TIMEOUT_S = 3.0

router = APIRouter(tags=["health"], route_class=ApiRoute)


@router.get(
    "/v1/health",
    response_model=Literal["HEALTHY"],
    responses={
        503: {
            "description": "Not ready; `details.notReady` names what is not, `problems` says why.",
            "model": ErrorAnswer,
        }
    },
)
async def health(api: ApiContext) -> JSONResponse:
    """200 when the log, all five services and Envoy are really ready."""
    log = await _log_view(api)
    names = not_ready(api.heartbeats.by_service, log, now=api.clock())
    if not names:
        return JSONResponse("HEALTHY")
    return error_answer(
        503,
        "PRECONDITION_FAILED",
        f"Not ready: {', '.join(names)}",
        details={"notReady": names, "problems": problems(api.heartbeats.by_service, log)},
        headers={"Retry-After": "1"},
    )


async def _log_view(api: Api) -> LogView:
    due_before = api.clock() - PATIENCE
    try:
        async with asyncio.timeout(LOG_TIMEOUT_S):
            last = await api.log.last_sequence()
            is_projected = True
            if last > api.projector.sequence:
                async for event in api.log.read(EVERYTHING, after=api.projector.sequence):
                    is_projected = event.time > due_before
                    break
    except (LogUnavailable, TimeoutError):
        return LogView(answers=False, problem=api.log_condition.problem)
    return LogView(
        answers=True,
        problem=api.log_condition.problem,
        due_sequence=await api.queries.newest_spec_before(to_rfc3339(due_before)),
        is_projected=is_projected,
    )
