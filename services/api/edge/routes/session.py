"""Whose key it is: what a client of the reference API asks first."""

from fastapi import APIRouter

from services.api.edge.routes.context import ACTOR, ApiRoute
from services.api.edge.schemas.session import SessionAnswer

router = APIRouter(tags=["session"], route_class=ApiRoute)


@router.get("/v1/auth/session")
async def get_session() -> SessionAnswer:
    """The one team that there is, and the holder of the key as its user."""
    return SessionAnswer.of(ACTOR)
