"""The REST application: routes, the boundary in front of them, one error shape, OpenAPI."""

from functools import partial

from fastapi import FastAPI
from starlette.middleware import Middleware

from services.api.edge import refusals
from services.api.edge.boundary import Boundary
from services.api.edge.openapi import make_openapi
from services.api.edge.routes import (
    decisions,
    deployments,
    events,
    health,
    history,
    log,
    machine_types,
    metrics,
    projects,
    session,
    usage,
    whatif,
)
from services.api.edge.routes.context import Api

ROUTERS = tuple(
    module.router
    for module in (
        *(deployments, history, decisions, metrics, whatif, projects),
        *(machine_types, usage, session, events, log, health),
    )
)


def make_rest(api: Api, *, api_key: str) -> FastAPI:
    """An ASGI application over what it is given; nothing is opened here."""
    rest = FastAPI(
        title="Specstream",
        version="1",
        description="Deployments from a declarative spec, every change an immutable event.",
        # The pages that show OpenAPI load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # A request has a span of ours; FastAPI would add five, which take a fifth of the time of a change.
        telemetry={"tracing": False, "logs": False},
        middleware=[Middleware(Boundary, api_key=api_key)],
    )
    for router in ROUTERS:
        rest.include_router(router)
    refusals.install(rest, [route for router in ROUTERS for route in router.routes])
    rest.openapi = partial(make_openapi, rest)  # type: ignore[method-assign]  # FastAPI's way to amend it
    rest.state.api = api
    return rest
