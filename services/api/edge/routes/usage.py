"""How long replicas were there, and what that costs."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as QueryParameters
from pydantic import Field

from libs.common.clock import to_rfc3339
from services.api.commands.known_ids import check_deployment_id
from services.api.edge.routes.context import ApiRoute, FreshContext, Query, refuse
from services.api.edge.routes.deployments import known
from services.api.edge.schemas.usage import UsageAnswer
from services.api.readmodels.past import parse_time
from services.api.readmodels.usage import GroupBy, add_up, read_stays

router = APIRouter(tags=["usage"], route_class=ApiRoute)

LONGEST = timedelta(days=31)
TIME = "an RFC 3339 time"


class UsageQuery(Query):
    """Times with their offset."""

    from_: str = Field(alias="from", description="An RFC 3339 time.")
    to: str | None = Field(default=None, description="Now, where it is left out or later.")
    group_by: GroupBy = Field(default="deployment", alias="groupBy")
    deployment_id: str | None = Field(default=None, alias="deploymentId", description="Of this one alone.")


@router.get("/v1/usage")
async def show_usage(query: Annotated[UsageQuery, QueryParameters()], api: FreshContext) -> UsageAnswer:
    """Replica-seconds and their cost, of deleted deployments too, by the times of the log."""
    now = api.clock()
    begin = _time("from", query.from_)
    asked = now if query.to is None else _time("to", query.to)
    if asked <= begin:
        raise refuse("to", "is not later than `from`", query.to, f"a time after {to_rfc3339(begin)}")
    if asked - begin > LONGEST:
        allowed = f"at most {LONGEST.days} days before `to`" + (", which is now" if query.to is None else "")
        raise refuse("from", "is too long before `to`", query.from_, allowed)
    if query.deployment_id is not None:
        check_deployment_id(query.deployment_id)
        await known(api, query.deployment_id)
    end = max(begin, min(asked, now))
    stays = await read_stays(api.engine, begin, end, deployment_id=query.deployment_id)
    return UsageAnswer.of(
        add_up(stays, query.group_by, api.machine_types),
        begin=to_rfc3339(begin),
        end=to_rfc3339(end),
        group_by=query.group_by,
    )


def _time(name: str, text: str) -> datetime:
    moment = parse_time(text)
    if moment is None:
        raise refuse(name, "is not a time", text[:100], TIME)
    return moment
