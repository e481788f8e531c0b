"""Why a deployment has as many replicas as it has, and what was decided about it."""

from collections.abc import Sequence
from typing import Annotated

import structlog
from fastapi import APIRouter
from fastapi import Query as QueryParameters
from pydantic import Field

from libs.common.autoscaling.present import Present
from libs.common.clock import to_rfc3339
from libs.common.errors import LogUnavailable
from libs.common.events.envelope import select
from libs.common.events.scaling import ReplicasDecided
from libs.common.state.view import DeploymentView, fold
from services.api.commands.deployment import deployment_not_found
from services.api.edge.routes.context import Api, ApiRoute, IdPath, ListQuery, OneFreshContext, Query
from services.api.edge.routes.deployments import known, not_there_then
from services.api.edge.schemas.base import PageOf
from services.api.edge.schemas.decision import (
    BoundsAnswer,
    DecisionAnswer,
    ExplainAnswer,
    ReasoningAnswer,
    WaitingAnswer,
)
from services.api.edge.schemas.deployment import PlaceAnswer
from services.api.readmodels.decisions import DecisionKind, DecisionRecord
from services.api.readmodels.explaining import Explained, explained
from services.api.readmodels.paging import Paging
from services.api.readmodels.past import parse_time, resolve

logger = structlog.get_logger()

router = APIRouter(prefix="/v1/deployments/{id}", tags=["deployments"], route_class=ApiRoute)

NEWEST = 20


class DecisionsQuery(ListQuery):
    kind: DecisionKind | None = Field(default=None, description="Only those.")


@router.get("/decisions")
async def list_decisions(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    query: Annotated[DecisionsQuery, QueryParameters()],
    api: OneFreshContext,
) -> PageOf[DecisionAnswer]:
    """What was decided about it, newest first; of a deleted deployment too."""
    paging = query.paging("decisions")
    await known(api, id)
    page = await api.queries.decisions(id, paging, kind=query.kind)
    items = [DecisionAnswer.of(decision) for decision in page.items]
    return PageOf[DecisionAnswer](items=items, has_more=page.has_more, next_page=page.next_page)


class ExplainQuery(Query):
    at: str | None = Field(
        default=None, description="An RFC 3339 time, or the sequence of an event: what held then."
    )


@router.get("/explain")
async def explain_deployment(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    query: Annotated[ExplainQuery, QueryParameters()],
    api: OneFreshContext,
) -> ExplainAnswer:
    """Why it has as many replicas as it has, or had at a time or an event; of a deleted deployment too."""
    recorded = await known(api, id)
    place, until = None, None
    if query.at is not None:
        await api.projector.catch_up()
        until = await resolve(api.log, query.at, api.projector.timeline, now=api.clock())
        moment = None if query.at.isdecimal() else parse_time(query.at)
        place = PlaceAnswer(sequence=until, time=to_rfc3339(moment) if moment else None)
    view = fold((await api.log.load(select(aggregate_id=id), until=until)).events)
    if view is None or view.deployment is None or not view.deployment.is_created:
        raise deployment_not_found(id) if query.at is None else not_there_then(recorded, query.at)
    found = explained(view)
    newest = await api.queries.decisions(id, Paging(NEWEST), kind=DecisionKind.SCALING, until=until)
    return ExplainAnswer(
        id=id,
        name=view.deployment.name,
        spec_id=view.deployment.spec_id,
        replicas=found.replicas,
        why=found.why,
        ready=found.ready,
        bounds=None
        if found.bounds is None
        else BoundsAnswer(minimum=found.bounds.minimum, maximum=found.bounds.maximum),
        policy=None if found.policy is None else found.policy.to_wire(),
        reasoning=_reasoning(await _present(api, view), found)
        if until is None
        else _reasoning_then(view, found, newest.items),
        waiting=[
            WaitingAnswer(replicas=one.replicas, state=one.state, message=one.message)
            for one in found.waiting
        ],
        decisions=[DecisionAnswer.of(decision) for decision in newest.items],
        at=place,
    )


async def _present(api: Api, view: DeploymentView) -> Present | None:
    """Of the newest spec. What is kept is help, so nobody waits for it in vain."""
    if view.deployment is None or view.deployment.scaling_since is None:
        return None
    try:
        present = await api.reasoning.present(view.deployment_id)
    except LogUnavailable as error:
        logger.warning("the reasoning about scaling cannot be read", error=str(error))
        return None
    is_of_now = present is not None and (present.stretch_id, present.spec_id) == (
        view.deployment.scaling_since,
        view.deployment.spec_id,
    )
    return present if is_of_now else None


def _reasoning(present: Present | None, found: Explained) -> ReasoningAnswer | None:
    if present is None or found.policy is None or found.bounds is None:
        return None
    return ReasoningAnswer.of(present, found.policy, found.bounds)


def _reasoning_then(
    view: DeploymentView, found: Explained, newest: Sequence[DecisionRecord]
) -> ReasoningAnswer | None:
    """Of a past moment: the newest decision then, where it counted then. What was thought between two
    decisions is not kept."""
    stretch_id = None if view.deployment is None else view.deployment.scaling_since
    if not newest or found.bounds is None:
        return None
    try:
        fact = ReplicasDecided.model_validate(newest[0].data)
        if fact.stretch_id != stretch_id:
            return None
        return ReasoningAnswer.of_decision(newest[0].sequence, newest[0].created_at, fact)
    except (ValueError, ArithmeticError) as error:
        logger.warning("a decision cannot be told", sequence=newest[0].sequence, error=str(error)[:500])
        return None
