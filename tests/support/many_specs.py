"""A deployment with many specs behind it, appended as its services would, but many at a time."""

from dataclasses import dataclass

from libs.common.events.deployment import SpecRegistered
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.events.rollout import LiveRun, SpecApplied, SpecHealthy
from libs.common.ids import new_id
from libs.common.log.port import EventLog
from services.api.commands.decision import deployment_aggregate
from tests.support.rest import a_config
from tests.support.specs import parse_spec

AT_ONCE = 200
CAUSE = Cause("key:default", "many")


@dataclass(frozen=True, slots=True)
class Registered:
    spec_id: str
    sequence: int


async def register_many(log: EventLog, deployment_id: str, specs: int, *, name: str) -> list[Registered]:
    """Each is registered, applied and healthy; the deployment exists. Where their SpecRegistered lie."""
    deployment = deployment_aggregate("default", deployment_id)
    rollout = Aggregate("default", "rollout", deployment_id)
    heads = (await log.load(deployment.filter, rollout.filter)).heads
    registered: list[Registered] = []
    while len(registered) < specs:
        numbers = range(len(registered), min(len(registered) + AT_ONCE, specs))
        drafts: list[Draft] = []
        for number in numbers:
            spec_id = new_id()
            spec = parse_spec(a_config(name, replicas=1 + number % 50))
            runs = (LiveRun(run_id="r", spec_id=spec_id),)
            drafts += [
                Draft(deployment, SpecRegistered(spec_id=spec_id, run_id="r", spec=spec)),
                Draft(rollout, SpecApplied(spec_id=spec_id, run_id="r", runs=runs)),
                Draft(rollout, SpecHealthy(spec_id=spec_id, run_id="r", replicas=1)),
            ]
        appended = await log.append(drafts, heads=heads, cause=CAUSE)
        heads = {**heads, **appended.heads}
        first = appended.sequence - len(drafts) + 1
        registered += [
            Registered(draft.fact.spec_id, first + place)
            for place, draft in enumerate(drafts)
            if isinstance(draft.fact, SpecRegistered)
        ]
    return registered
