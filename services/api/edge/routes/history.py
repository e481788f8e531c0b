"""What a deployment was, runs and said: history, diff, runs, logs."""

import asyncio
from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as QueryParameters
from pydantic import Field

from libs.common.errors import Issue, NotFound
from libs.common.ids import AN_ID, is_id
from libs.common.spec.diff import diff
from libs.common.spec.model import Spec
from services.api.edge.log_pages import read_log_page
from services.api.edge.routes.context import (
    Api,
    ApiRoute,
    IdPath,
    LimitQuery,
    ListQuery,
    OneFreshContext,
    Query,
    refuse,
)
from services.api.edge.routes.deployments import existing, known
from services.api.edge.schemas.base import PageOf
from services.api.edge.schemas.deployment import (
    Difference,
    HistoryAnswer,
    LogPageAnswer,
    RunAnswer,
    differences,
)
from services.api.readmodels.records import SpecRecord, make_runs

router = APIRouter(prefix="/v1/deployments/{id}", tags=["deployments"], route_class=ApiRoute)


@router.get("/history")
async def list_history(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    query: Annotated[ListQuery, QueryParameters()],
    api: OneFreshContext,
) -> PageOf[HistoryAnswer]:
    """Every spec that was registered, newest first; of a deleted deployment too."""
    paging = query.paging("history")
    await known(api, id)
    page = await api.queries.specs(id, paging)
    return PageOf[HistoryAnswer](
        items=[HistoryAnswer.of(s) for s in page.items], has_more=page.has_more, next_page=page.next_page
    )


class DiffQuery(Query):
    """Two ids from the history."""

    from_: str = Field(alias="from", description="A spec id.")
    to: str = Field(description="A spec id.")


@router.get("/diff")
async def diff_specs(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    query: Annotated[DiffQuery, QueryParameters()],
    api: OneFreshContext,
) -> list[Difference]:
    """Every leaf that differs between two specs, defaults filled in on both sides."""
    await known(api, id)
    before = await _spec(api, id, "from", query.from_)
    after = await _spec(api, id, "to", query.to)
    return differences(diff(Spec.model_validate(before.data), Spec.model_validate(after.data)))


@router.get("/runs")
async def list_runs(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    query: Annotated[LimitQuery, QueryParameters()],
    api: OneFreshContext,
) -> list[RunAnswer]:
    """The runs that have or want replicas, the wanted one first; empty when the deployment is stopped."""
    deployment = await existing(api, id)
    instances, told = await asyncio.gather(api.queries.instances(id), api.signal(id))
    signals = {} if told is None else {replica.replica_id: replica for replica in told.replicas}
    runs = make_runs(deployment, instances)
    return [RunAnswer.of(run, signals) for run in runs[: query.limit]]


class LogsQuery(ListQuery):
    """after: `nextPage`, or the id of a line: the lines that come after it in the order asked for."""

    instance_id: str | None = Field(default=None, alias="instanceId")


@router.get("/logs")
async def list_logs(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    query: Annotated[LogsQuery, QueryParameters()],
    api: OneFreshContext,
) -> LogPageAnswer:
    """What the replicas wrote, newest first, the last words of dead ones too.

    `notices` says whose lines may be missing.
    """
    if query.instance_id is not None and not is_id(query.instance_id):
        raise refuse("instanceId", "is not the id of an instance", query.instance_id[:100], AN_ID)
    await existing(api, id)
    page = await read_log_page(
        api.cluster,
        api.tails,
        id,
        limit=query.limit,
        replica_id=query.instance_id,
        after=query.after,
        newest_first=query.order != "asc",
    )
    return LogPageAnswer.of(id, page)


async def _spec(api: Api, deployment_id: str, side: str, spec_id: str) -> SpecRecord:
    spec = await api.queries.spec(deployment_id, spec_id)
    if spec is None:
        issue = Issue((side,), "no such spec of this deployment", spec_id[:100])
        raise NotFound("The deployment has no such spec", [issue])
    return spec
