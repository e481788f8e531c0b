"""Projects, their deployments and what happened in them."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Query as QueryParameters
from pydantic import Field

from services.api.commands.known_ids import check_project_id
from services.api.commands.project import project_not_found
from services.api.edge import bodies
from services.api.edge.routes.context import (
    Api,
    ApiContext,
    ApiRoute,
    FreshContext,
    IdPath,
    ListQuery,
    cause_of,
)
from services.api.edge.routes.deployments import page_of_deployments
from services.api.edge.schemas.base import PageOf
from services.api.edge.schemas.deployment import DeploymentAnswer
from services.api.edge.schemas.project import ActivityAnswer, ProjectAnswer
from services.api.readmodels.records import ProjectRecord

router = APIRouter(prefix="/v1/projects", tags=["projects"], route_class=ApiRoute)


@router.get("")
async def list_projects(
    query: Annotated[ListQuery, QueryParameters()], api: FreshContext
) -> PageOf[ProjectAnswer]:
    """Every project, newest first; `default` is always there, and the oldest."""
    page = await api.queries.projects(query.paging("projects"))
    return PageOf[ProjectAnswer](
        items=[ProjectAnswer.of(p) for p in page.items], has_more=page.has_more, next_page=page.next_page
    )


@router.post("", openapi_extra=bodies.PROJECT_BODY)
async def create_project(request: Request, api: ApiContext) -> ProjectAnswer:
    """A new project; the names of projects are unique."""
    body = bodies.parse_project(await request.body())
    project_id = await api.commands.create_project(body.name, cause=cause_of(request))
    return ProjectAnswer.of(await existing(api, project_id))


@router.get("/{id}")
async def get_project(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    api: FreshContext,
) -> ProjectAnswer:
    return ProjectAnswer.of(await existing(api, id))


@router.put("/{id}", openapi_extra=bodies.PROJECT_BODY)
async def rename_project(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    request: Request,
    api: ApiContext,
) -> ProjectAnswer:
    """Its id, its deployments and their endpoints stay. Refused for `default` and a name that is held."""
    body = bodies.parse_project(await request.body(), id)
    check_project_id(id)
    await api.commands.rename_project(id, body.name, cause=cause_of(request))
    return ProjectAnswer.of(await existing(api, id))


@router.delete("/{id}")
async def delete_project(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    request: Request,
    api: ApiContext,
) -> ProjectAnswer:
    """The project as it was, with `dtDeleted`. Refused while it has deployments, and for `default`."""
    check_project_id(id)
    await api.commands.delete_project(id, cause=cause_of(request))
    return ProjectAnswer.of(await _known(api, id))


class ProjectDeploymentsQuery(ListQuery):
    name: str | None = Field(default=None, description="Only the deployment of this name.")


@router.get("/{id}/deployments")
async def list_project_deployments(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    query: Annotated[ProjectDeploymentsQuery, QueryParameters()],
    api: FreshContext,
) -> PageOf[DeploymentAnswer]:
    """The deployments of a project, newest first."""
    paging = query.paging("deployments")
    await existing(api, id)
    page = await api.queries.deployments(paging, project_id=id, name=query.name)
    return await page_of_deployments(api, page.items, page.next_page)


class ActivityQuery(ListQuery):
    deployment_id: str | None = Field(default=None, alias="deploymentId")
    name: str | None = Field(default=None, description="Only of deployments that have this name now.")


@router.get("/{id}/activity")
async def list_project_activity(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    query: Annotated[ActivityQuery, QueryParameters()],
    api: FreshContext,
) -> PageOf[ActivityAnswer]:
    """What people did to the deployments of a project, newest first; of deleted ones too."""
    paging = query.paging("activity")
    await existing(api, id)
    page = await api.queries.activities(id, paging, deployment_id=query.deployment_id, name=query.name)
    return PageOf[ActivityAnswer](
        items=[ActivityAnswer.of(a) for a in page.items], has_more=page.has_more, next_page=page.next_page
    )


async def existing(api: Api, project_id: str) -> ProjectRecord:
    """Raises NotFound, for a deleted one too."""
    project = await _known(api, project_id)
    if project.deleted_at is not None:
        raise project_not_found(project_id)
    return project


async def _known(api: Api, project_id: str) -> ProjectRecord:
    project = await api.queries.project(project_id)
    if project is None:
        raise project_not_found(project_id)
    return project
