"""What was measured of a deployment: its requests, and what its replicas used."""

import asyncio
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Query as QueryParameters
from pydantic import Field

from services.api.edge.routes.context import Api, ApiRoute, IdPath, OneFreshContext, Query
from services.api.edge.routes.deployments import existing
from services.api.edge.schemas.metrics import GpuPointAnswer, InstancePoints, PointAnswer, moment, shown
from services.api.points import timeframes
from services.api.points.tables import DEPLOYMENT, GPU, REPLICA
from services.api.points.timeframes import DURATION_MINUTES, WINDOWS, Metric, Timeframe, Value
from services.api.readmodels.records import DeploymentRecord

router = APIRouter(prefix="/v1/deployments/{id}", tags=["deployments"], route_class=ApiRoute)

RECORDED_FROM = "Specstream-Recorded-From"
"""A header: since when anything is recorded here, or `null`."""


class MetricsQuery(Query):
    metric: Metric
    timeframe: Timeframe = Field(
        default="hour",
        description="The last hour by the minute, 12 hours by 10 minutes, a day by 15 minutes, "
        "a week by 2 hours, two weeks by 4 hours.",
    )


Answers = list[PointAnswer] | list[InstancePoints] | list[GpuPointAnswer]


@router.get("/metrics")
async def list_metrics(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    query: Annotated[MetricsQuery, QueryParameters()],
    api: OneFreshContext,
    response: Response,
) -> Answers:
    """Oldest first. A step in which nothing was measured is left out, which is not 0."""
    deployment = await existing(api, id)
    now = int(api.clock().timestamp()) // 60
    recorded_from, found = await asyncio.to_thread(_read, api, deployment, query, now)
    response.headers[RECORDED_FROM] = "null" if recorded_from is None else moment(recorded_from)
    return found


def _read(
    api: Api, deployment: DeploymentRecord, query: MetricsQuery, now: int
) -> tuple[int | None, Answers]:
    recorded_from = api.points.recorded_from()
    match query.metric:
        case "cpu" | "memory":
            return recorded_from, _of_instances(api, deployment.id, query, now)
        case "gpu":
            return recorded_from, _of_gpus(api, deployment.id, query, now)
        case _:
            values = _of_requests(api, deployment, query, now)
            return recorded_from, [PointAnswer.of(value) for value in values]


def _of_requests(api: Api, deployment: DeploymentRecord, query: MetricsQuery, now: int) -> list[Value]:
    window = WINDOWS[query.timeframe]
    first = window.first(now)
    before = DURATION_MINUTES.get(query.metric, 0)
    created = int(datetime.fromisoformat(deployment.created_at).timestamp()) // 60
    known = timeframes.requests_by_minute(
        api.points.points(
            DEPLOYMENT, deployment.id, first=first - before, last=now, width=timeframes.REQUEST_VALUES
        ),
        api.points.counted(first=max(first - before, created), last=now),
    )
    match query.metric:
        case "requests_total":
            return timeframes.totals(known, window, first)
        case "requests_per_second":
            return timeframes.per_second(known, window, first)
        case _:
            return timeframes.durations(known, window, first, before)


def _of_instances(api: Api, deployment_id: str, query: MetricsQuery, now: int) -> list[InstancePoints]:
    window = WINDOWS[query.timeframe]
    first = window.first(now)
    answers = []
    for found in api.points.points(REPLICA, deployment_id, first=first, last=now):
        values = timeframes.percentages(found, window, first, of_memory=query.metric == "memory")
        if values:
            points = [PointAnswer.of(value) for value in values]
            answers.append(InstancePoints(instance_id=found.replica_id, values=points))
    return answers


def _of_gpus(api: Api, deployment_id: str, query: MetricsQuery, now: int) -> list[GpuPointAnswer]:
    window = WINDOWS[query.timeframe]
    first = window.first(now)
    return [
        GpuPointAnswer(
            gpu=str(found.gpu), instance_id=found.replica_id, timestamp=moment(minute), value=shown(value)
        )
        for found in api.points.points(GPU, deployment_id, first=first, last=now)
        for minute, value in timeframes.averages(
            ((minute, values[0]) for minute, _, values in found.points if values[0] is not None),
            window,
            first,
        )
    ]
