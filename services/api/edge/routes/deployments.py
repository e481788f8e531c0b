"""Deployments: submit, list, get, delete, roll back."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Query as QueryParameters
from pydantic import Field

from libs.common.clock import to_rfc3339
from libs.common.errors import Issue, NotFound
from services.api.commands.deployment import deployment_not_found
from services.api.commands.known_ids import check_deployment_id, check_project_id
from services.api.edge import bodies
from services.api.edge.routes.context import (
    Api,
    ApiContext,
    ApiRoute,
    FreshContext,
    IdPath,
    ListQuery,
    OneFreshContext,
    Query,
    cause_of,
)
from services.api.edge.schemas.base import PageOf
from services.api.edge.schemas.deployment import (
    DeletedAnswer,
    DeploymentAnswer,
    PlaceAnswer,
    RolledBackAnswer,
    SubmittedAnswer,
)
from services.api.readmodels.past import deployment_at, parse_time, resolve
from services.api.readmodels.records import DeploymentRecord

router = APIRouter(prefix="/v1/deployments", tags=["deployments"], route_class=ApiRoute)


@router.post("", openapi_extra=bodies.SUBMIT_BODY)
async def submit_deployment(request: Request, api: ApiContext) -> SubmittedAnswer:
    """Create the deployment of that name in the project, or give it this spec (upsert).

    An identical spec registers nothing. `deploymentId` wins over the name, and may rename.
    """
    body = bodies.parse_submit(await request.body(), api.machine_types)
    check_project_id(body.project_id)
    if body.deployment_id is not None:
        check_deployment_id(body.deployment_id)
    submitted = await api.commands.submit(
        body.spec,
        project_id=body.project_id,
        deployment_id=body.deployment_id,
        git=bodies.git_headers(request.headers),
        cause=cause_of(request),
    )
    return SubmittedAnswer(deployment_id=submitted.deployment_id)


@router.get("")
async def list_deployments(
    query: Annotated[ListQuery, QueryParameters()], api: FreshContext
) -> PageOf[DeploymentAnswer]:
    """The deployments of all projects, newest first."""
    page = await api.queries.deployments(query.paging("deployments"))
    return await page_of_deployments(api, page.items, page.next_page)


class GetQuery(Query):
    at: str | None = Field(
        default=None, description="An RFC 3339 time, or the sequence of an event: the state then."
    )


@router.get("/{id}")
async def get_deployment(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    query: Annotated[GetQuery, QueryParameters()],
    api: OneFreshContext,
) -> DeploymentAnswer:
    """The deployment now, or as it was at a time or an event."""
    if query.at is not None:
        await api.projector.catch_up()
        return await _then(api, id, query.at)
    deployment = await existing(api, id)
    ready = await api.queries.ready_counts([deployment])
    return DeploymentAnswer.of(deployment, ready=ready.get(id, 0), domain=api.domain, edge_port=api.edge_port)


@router.delete("/{id}")
async def delete_deployment(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    request: Request,
    api: ApiContext,
) -> DeletedAnswer:
    """Its replicas end, its name is free, its history stays."""
    check_deployment_id(id)
    await api.commands.delete(id, cause=cause_of(request))
    return DeletedAnswer(id=id)


@router.post("/{id}/rollback", openapi_extra=bodies.ROLLBACK_BODY)
async def roll_back_deployment(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    request: Request,
    api: ApiContext,
) -> RolledBackAnswer:
    """Register an earlier spec again, as a new one, under the present name."""
    body = bodies.parse_rollback(await request.body())
    check_deployment_id(id)
    rolled_back = await api.commands.rollback(
        id, body.spec_id, git=bodies.git_headers(request.headers), cause=cause_of(request)
    )
    return RolledBackAnswer(deployment_id=rolled_back.deployment_id, spec_id=rolled_back.spec_id)


async def known(api: Api, deployment_id: str) -> DeploymentRecord:
    """Also a deleted one. Raises NotFound."""
    found = await api.queries.deployment(deployment_id)
    if found is None:
        raise deployment_not_found(deployment_id)
    return found


async def existing(api: Api, deployment_id: str) -> DeploymentRecord:
    """Raises NotFound, for a deleted one too."""
    found = await known(api, deployment_id)
    if found.deleted_at is not None:
        raise deployment_not_found(deployment_id)
    return found


def not_there_then(found: DeploymentRecord, at: str) -> NotFound:
    """What was asked for is a moment before it was created, or after it was deleted."""
    end = "" if found.deleted_at is None else f", until {found.deleted_at}"
    there = f"from {found.created_at} (event {found.sequence}) on{end}"
    message = "the deployment did not exist then"
    return NotFound(f"at: {message}", [Issue(("at",), message, at[:100], there)])


async def page_of_deployments(
    api: Api, found: tuple[DeploymentRecord, ...], next_page: str | None
) -> PageOf[DeploymentAnswer]:
    ready = await api.queries.ready_counts(found)
    items = [
        DeploymentAnswer.of(d, ready=ready.get(d.id, 0), domain=api.domain, edge_port=api.edge_port)
        for d in found
    ]
    return PageOf[DeploymentAnswer](items=items, has_more=next_page is not None, next_page=next_page)


async def _then(api: Api, deployment_id: str, at: str) -> DeploymentAnswer:
    timeline = api.projector.timeline
    sequence = await resolve(api.log, at, timeline, now=api.clock())
    check_deployment_id(deployment_id)
    deployment, ready = await deployment_at(api.log, deployment_id, sequence, timeline)
    if deployment is None:
        raise not_there_then(await known(api, deployment_id), at)
    moment = None if at.isdecimal() else parse_time(at)
    place = PlaceAnswer(sequence=sequence, time=to_rfc3339(moment) if moment else None)
    return DeploymentAnswer.of(deployment, ready=ready, domain=api.domain, edge_port=api.edge_port, at=place)
