"""What a spec may name as its machine type."""

from fastapi import APIRouter

from services.api.edge.routes.context import ApiContext, ApiRoute
from services.api.edge.schemas.base import PageOf
from services.api.edge.schemas.machine_type import MachineTypeAnswer

router = APIRouter(tags=["machine types"], route_class=ApiRoute)


@router.get("/v1/machine-types")
async def list_machine_types(api: ApiContext) -> PageOf[MachineTypeAnswer]:
    """Every machine type, in the order of the operator's list; always one page."""
    types = [MachineTypeAnswer.of(one) for one in api.machine_types.values()]
    return PageOf[MachineTypeAnswer](items=types, has_more=False)
