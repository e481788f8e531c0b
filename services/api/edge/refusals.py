"""From what went wrong to an answer in the API's one error shape."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match, Route

from libs.common.errors import ClusterUnavailable, Issue, Refused, Temporary
from services.api.edge.wrong_query import wrong_query
from services.api.settings import MAX_BODY_BYTES

logger = structlog.get_logger()

RETRY_AFTER_S = 1

ROOM_AFTER_S = 30
"""A disk is seldom emptied sooner."""

_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},
    507: {"Retry-After": str(ROOM_AFTER_S)},
}

_CODES = {404: "NOT_FOUND", 413: "PAYLOAD_TOO_LARGE"}


class Unauthorized(Refused):
    code = "UNAUTHORIZED"
    status = 401


class PayloadTooLarge(Refused):
    code = "PAYLOAD_TOO_LARGE"
    status = 413

    def __init__(self) -> None:
        super().__init__(f"A body may have at most {MAX_BODY_BYTES} bytes")


class BodyTooSlow(Refused):
    code = "TIMEOUT"
    status = 408

    def __init__(self, deadline_s: float) -> None:
        super().__init__(f"The body did not come within {deadline_s:.0f} s")


def error_answer(
    status: int,
    code: str,
    message: str,
    *,
    issues: Sequence[Issue] = (),
    details: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """`issues` and `details` only where there are any: some clients refuse a shape with more fields."""
    content: dict[str, Any] = {"code": code, "message": message}
    if details is not None:
        content["details"] = dict(details)
    if issues:
        content["issues"] = [issue.to_wire() for issue in issues]
    return JSONResponse(content, status, headers=dict(headers) if headers else None)


def refusal_answer(error: Refused) -> JSONResponse:
    return error_answer(
        error.status, error.code, error.message, issues=error.issues, headers=_HEADERS.get(error.status)
    )


def temporary_answer(error: Temporary) -> JSONResponse:
    """503: nothing is known to be wrong with the request, and to repeat it is safe."""
    what = "cluster" if isinstance(error, ClusterUnavailable) else "platform"
    logger.warning("answered 503", error=str(error), error_type=type(error).__name__)
    return error_answer(
        503,
        "TIMEOUT",
        f"The {what} cannot answer now: {error}",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Every refusal, the framework's own too, gets the one shape. routes: all there are."""

    async def on_refused(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)
        return refusal_answer(error)

    async def on_temporary(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Temporary)
        return temporary_answer(error)

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return refusal_answer(wrong_query(error.errors(), request.scope.get("route")))

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            return _wrong_method(request, routes)
        code = _CODES.get(error.status_code, "BAD_REQUEST")
        message = "There is nothing at this address" if error.status_code == 404 else str(error.detail)
        return error_answer(error.status_code, code, message, headers=error.headers)

    async def on_left(_request: Request, _error: Exception) -> JSONResponse:
        """Nobody hears it. Without it each client that leaves would be an error of ours in the log."""
        return error_answer(400, "BAD_REQUEST", "The body did not come to its end")

    async def on_bug(_request: Request, error: Exception) -> JSONResponse:
        logger.error("unexpected error", error=str(error), error_type=type(error).__name__)
        return error_answer(500, "INTERNAL_SERVER_ERROR", "An unexpected error; the log of api tells more")

    app.add_exception_handler(Refused, on_refused)
    app.add_exception_handler(Temporary, on_temporary)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(ClientDisconnect, on_left)
    app.add_exception_handler(Exception, on_bug)


def _wrong_method(request: Request, routes: Sequence[BaseRoute]) -> JSONResponse:
    """Each address has a route for each method, and the framework names the first one's only."""
    allowed = sorted(
        {
            method
            for route in routes
            if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
            for method in route.methods or ()
        }
    )
    return error_answer(
        405,
        "METHOD_NOT_SUPPORTED",
        f"This address does not take {request.method}",
        headers={"Allow": ", ".join(allowed)},
    )
