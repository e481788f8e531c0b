"""What an earlier attempt at a command did, found in the events that came after it was begun.

Only the aggregates that the command can have written are read, and only what is new in them: however long
their history is, it costs the same.
"""

from collections.abc import AsyncIterator

from libs.common.events.deployment import DeploymentDeleted, DeploymentFact, SpecRegistered
from libs.common.events.envelope import Recorded, select
from libs.common.log.port import EventLog
from services.api.commands.decision import name_aggregate
from services.api.commands.deployment import Submitted
from services.api.commands.loading import SubmitNames, fold_name
from services.api.commands.outcomes import Begun


async def find_submitted(log: EventLog, begun: Begun, names: SubmitNames) -> Submitted | None:
    """What a submission registered; None when it registered nothing."""
    owners = {names.deployment_id} if names.deployment_id else await _owners(log, begun, names)
    for owner in owners:
        async for event in _caused(log, begun, owner):
            if event.type == SpecRegistered.event_type():
                return Submitted(owner, str(event.data.get("spec_id", "")))
    return None


async def find_deleted(log: EventLog, begun: Begun, deployment_id: str) -> str | None:
    """The id of the deployment, if the command has deleted it."""
    async for event in _caused(log, begun, deployment_id):
        if event.type == DeploymentDeleted.event_type():
            return deployment_id
    return None


async def _owners(log: EventLog, begun: Begun, names: SubmitNames) -> set[str]:
    """Every deployment that held the name since the command was begun."""
    name = name_aggregate(names.project_id, names.spec_name)
    holder = fold_name((await log.load(name.filter)).events, name)
    owners = {holder} if holder else set()
    async for event in log.read(name.filter, after=begun.after):
        owner = event.data.get("owner_id")
        if isinstance(owner, str):
            owners.add(owner)
    return owners


async def _caused(log: EventLog, begun: Begun, deployment_id: str) -> AsyncIterator[Recorded]:
    of_deployment = select(kind=DeploymentFact.aggregate, aggregate_id=deployment_id)
    async for event in log.read(of_deployment, after=begun.after):
        if begun.key.is_cause_of(event.cause):
            yield event
