"""What another policy would have done on the load that was recorded."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request

from libs.common.autoscaling.replay import ASSUMPTIONS, MINUTE_S, Capacity
from libs.common.clock import to_rfc3339
from libs.common.errors import BadRequest, Issue
from libs.common.spec.bounds import MAX_REPLICAS
from services.api.commands.known_ids import check_deployment_id
from services.api.edge import bodies
from services.api.edge.routes.context import Api, ApiRoute, IdPath, OneFreshContext, refuse
from services.api.edge.routes.deployments import existing
from services.api.edge.schemas.whatif import NumbersAnswer, SideAnswer, WhatIfAnswer
from services.api.edge.trying import Trial, Tried, cost_of, lead_begin, tried
from services.api.readmodels.past import parse_time
from services.api.readmodels.records import SpecRecord

router = APIRouter(prefix="/v1/deployments/{id}", tags=["deployments"], route_class=ApiRoute)

LONGEST = timedelta(days=15)
"""So long minutes are kept."""
GIB = 2.0**30


@router.post("/whatif", openapi_extra=bodies.WHAT_IF_BODY)
async def try_policy(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    request: Request,
    api: OneFreshContext,
) -> WhatIfAnswer:
    """Replay what was recorded through the autoscaler's own rules, with this policy."""
    body = bodies.parse_what_if(await request.body())
    check_deployment_id(id)
    deployment = await existing(api, id)
    spec = deployment.spec
    if spec is None:
        raise BadRequest("The deployment has no spec")
    policy = bodies.parse_policy(body.autoscaling, spec.data, api.machine_types)
    if spec.scale.replicas == 0:
        message = "is 0, which stops the deployment whatever its autoscaling says"
        raise refuse("replicas", message, 0, f"a spec of the deployment with 1 to {MAX_REPLICAS}")
    begin, end = _times(api, body)
    capacity = _capacity(api, spec)
    since = lead_begin(begin, policy, request_window_s=api.request_window_s)
    trial = Trial(
        id,
        policy,
        spec.scale.replicas,
        capacity,
        begin.timestamp(),
        end.timestamp(),
        await api.queries.said(id, since=to_rfc3339(since), until=to_rfc3339(end)),
        api.request_window_s,
        api.edges,
    )
    async with api.one_trial:
        found = await tried(api.points, api.samples, trial)
    machine_type = spec.data["resources"]["machineType"]
    prices = api.machine_types[machine_type].price_per_hour
    costs: list[float | None] = []
    if found is not None:
        both = (found.actual_steps, found.proposed_steps)
        costs = [cost_of(steps, end.timestamp(), prices) for steps in both]
    return WhatIfAnswer(
        from_=to_rfc3339(begin),
        to=to_rfc3339(end),
        recorded_from=None if found is None else _shown(found.recorded_from),
        resolution_seconds=MINUTE_S if found is None else found.each_s,
        assumptions=list(ASSUMPTIONS if found is None else found.assumptions),
        actual=None if found is None else SideAnswer.of(found.actual, costs[0]),
        proposed=None if found is None else SideAnswer.of(found.proposed, costs[1]),
        unpriced=[machine_type] if None in costs else [],
        series=[] if found is None else list(_series(found)),
    )


def _times(api: Api, body: bodies.WhatIfBody) -> tuple[datetime, datetime]:
    """Raises BadRequest for what is no time, reversed, too long or not yet."""
    now = api.clock()
    begin = _time("from", body.from_)
    end = now if body.to is None else _time("to", body.to)
    if end > now:
        raise refuse("to", "is in the future", body.to, f"a time up to {to_rfc3339(now)}")
    if begin >= end:
        raise refuse("from", "is not before `to`", body.from_, f"a time before {to_rfc3339(end)}")
    if end - begin > LONGEST:
        allowed = f"at most {LONGEST.days} days before `to`"
        raise refuse("from", "is too long before `to`", body.from_, allowed)
    return begin, end


def _time(name: str, text: str) -> datetime:
    moment_ = parse_time(text)
    if moment_ is None:
        raise refuse(name, "is not a time", text[:100], "an RFC 3339 time")
    return moment_.astimezone(UTC)


def _capacity(api: Api, spec: SpecRecord) -> Capacity:
    """Raises BadRequest for a machine type that is gone."""
    name = spec.data["resources"]["machineType"]
    machine_type = api.machine_types.get(name)
    if machine_type is None:
        issue = Issue(("machineType",), "is not a machine type any more", name, list(api.machine_types))
        raise BadRequest("The spec's machine type is not one any more", [issue])
    return Capacity(machine_type.cpus, machine_type.memory_gib * GIB)


def _series(found: Tried) -> Iterator[NumbersAnswer]:
    """The first numbers, and each change of either."""
    actual = {step.at: step.number or 0 for step in found.actual_steps}
    proposed = {step.at: step.number or 0 for step in found.proposed_steps}
    before, now = None, (0, 0)
    for at in sorted({*actual, *proposed}):
        now = (actual.get(at, now[0]), proposed.get(at, now[1]))
        if now != before:
            yield NumbersAnswer(timestamp=_shown(at), actual=now[0], proposed=now[1])
        before = now


def _shown(at: float) -> str:
    return to_rfc3339(datetime.fromtimestamp(at, UTC))
