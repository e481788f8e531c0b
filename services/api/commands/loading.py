"""What the decisions rest on, read from the log: `load_*` reads and folds, and hands the heads on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Generic, TypeVar

from libs.common.events.deployment import DeploymentFact, SpecRegistered
from libs.common.events.envelope import ROOT, TEAM, Aggregate, Recorded, select
from libs.common.ids import DEFAULT_PROJECT
from libs.common.log.port import EventLog, Guard, Head, Heads
from libs.common.state import deployment, name, project
from libs.common.state.deployment import DeploymentState
from libs.common.state.name import NameState
from libs.common.state.project import ProjectState
from services.api.commands.decision import name_aggregate, project_aggregate
from services.api.commands.deployment import SubmitState
from services.api.commands.project import DeleteProjectState, RenameProjectState
from services.api.commands.visible import Visible

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[S]):
    state: S
    """What a decision is made from."""
    heads: Heads
    """The heads of every aggregate that it may write."""
    sequence: int
    """The sequence of the newest event read."""


@dataclass(frozen=True, slots=True)
class SubmitNames:
    """What a submission names, from which all follows that it rests on."""

    project_id: str
    spec_name: str
    deployment_id: str | None


async def load_submit(log: EventLog, names: SubmitNames) -> Snapshot[SubmitState]:
    project_id, spec_name, deployment_id = names.project_id, names.spec_name, names.deployment_id
    wanted, home = name_aggregate(project_id, spec_name), project_aggregate(project_id)
    filters = [wanted.filter, home.filter, *_deployment_filters(deployment_id)]
    events = list((await log.load(*filters)).events)
    holder = fold_name(events, wanted)
    target_id = deployment_id or holder
    if deployment_id is None and target_id is not None:
        events += (await log.load(*_deployment_filters(target_id))).events
    target = fold_deployment(events, target_id)
    if target is not None and target.name != spec_name:
        events += (await log.load(name_aggregate(target.project_id, target.name).filter)).events
    state = SubmitState(
        project_exists=project_id == DEFAULT_PROJECT or fold_project(events, project_id).exists,
        project_sequence=_sequence_of(events, home),
        name_owner=holder,
        target=target,
    )
    return _snapshot(state, events)


async def load_deployment(log: EventLog, deployment_id: str) -> Snapshot[DeploymentState | None]:
    """A deployment with the head of its name."""
    events = list((await log.load(*_deployment_filters(deployment_id))).events)
    target = fold_deployment(events, deployment_id)
    if target is not None:
        events += (await log.load(name_aggregate(target.project_id, target.name).filter)).events
    return _snapshot(target, events)


async def load_rollback(
    log: EventLog, visible: Visible, deployment_id: str, spec_id: str
) -> Snapshot[tuple[DeploymentState | None, SpecRegistered | None]]:
    """A deployment with one of the specs that were registered for it; None when it never had that.

    The read models tell where in the log the spec lies, and the log what it is: a decision rests on the log.
    """
    events = (await log.load(*_deployment_filters(deployment_id))).events
    target = fold_deployment(events, deployment_id)
    snapshot = _snapshot(target, events)
    earlier = None
    if target is not None:
        place = await visible.place_of_spec(deployment_id, spec_id)
        if not place:
            # It may have been registered a moment ago.
            await visible.wait_for(snapshot.sequence)
            place = await visible.place_of_spec(deployment_id, spec_id)
        earlier = await _spec_at(log, deployment_id, place) if place else None
    return Snapshot((target, earlier), snapshot.heads, snapshot.sequence)


async def _spec_at(log: EventLog, deployment_id: str, place: int) -> SpecRegistered | None:
    registered = select(
        kind=DeploymentFact.aggregate, aggregate_id=deployment_id, event_type=SpecRegistered.event_type()
    )
    async for event in log.read(registered, after=place - 1, until=place):
        return event.fact if isinstance(event.fact, SpecRegistered) else None
    return None


async def load_name(log: EventLog, name: str) -> Snapshot[str | None]:
    """Who holds the name of a project."""
    aggregate = name_aggregate(TEAM, name)
    events = (await log.load(aggregate.filter)).events
    return _snapshot(fold_name(events, aggregate), events)


async def load_rename_project(log: EventLog, project_id: str, name: str) -> Snapshot[RenameProjectState]:
    """A project, and who holds the name that it shall have."""
    wanted = name_aggregate(TEAM, name)
    events = list((await log.load(project_aggregate(project_id).filter, wanted.filter)).events)
    state = fold_project(events, project_id)
    if state.name is not None and state.name != name:
        events += (await log.load(name_aggregate(TEAM, state.name).filter)).events
    return _snapshot(RenameProjectState(state, fold_name(events, wanted)), events)


async def load_delete_project(log: EventLog, project_id: str) -> Snapshot[DeleteProjectState]:
    """A project with the number of its deployments, and the guard that keeps that number true."""
    of_deployments = f"{ROOT}.{project_id}.{DeploymentFact.aggregate}.>"
    deployments = (await log.load(of_deployments)).events
    events = list((await log.load(project_aggregate(project_id).filter)).events)
    state = fold_project(events, project_id)
    if state.name is not None:
        events += (await log.load(name_aggregate(TEAM, state.name).filter)).events
    ids = {event.aggregate.id for event in deployments}
    existing = [d for d in (fold_deployment(deployments, i) for i in ids) if d is not None and d.exists]
    guard = Guard(of_deployments, deployments[-1].sequence if deployments else 0)
    return _snapshot(DeleteProjectState(state, len(existing), guard), events)


def fold_name(events: Sequence[Recorded], aggregate: Aggregate) -> str | None:
    return reduce(name.evolve, _of(events, aggregate), NameState()).owner_id


def fold_project(events: Sequence[Recorded], project_id: str) -> ProjectState:
    return reduce(project.evolve, _of(events, project_aggregate(project_id)), ProjectState())


def fold_deployment(events: Sequence[Recorded], deployment_id: str | None) -> DeploymentState | None:
    """None when there are no events of it; its id names it in whatever project it is."""
    state: DeploymentState | None = None
    for event in events:
        if event.aggregate.kind == DeploymentFact.aggregate and event.aggregate.id == deployment_id:
            state = deployment.evolve(state, event)
    return state


def _of(events: Sequence[Recorded], aggregate: Aggregate) -> list[Recorded]:
    return [event for event in events if event.aggregate == aggregate]


def _deployment_filters(deployment_id: str | None) -> list[str]:
    return [select(kind=DeploymentFact.aggregate, aggregate_id=deployment_id)] if deployment_id else []


def _sequence_of(events: Sequence[Recorded], aggregate: Aggregate) -> int:
    return max((event.sequence for event in _of(events, aggregate)), default=0)


def _snapshot(state: S, events: Sequence[Recorded]) -> Snapshot[S]:
    """Heads fold in the order read: of one aggregate read twice the later reading counts."""
    heads: Mapping[Aggregate, Head] = {e.aggregate: Head(e.sequence, e.hash) for e in events}
    return Snapshot(state, heads, max((e.sequence for e in events), default=0))
