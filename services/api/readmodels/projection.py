"""What each event does to the read models. The same events in the same order give the same rows.

Never fails on an event: one that it does not know changes nothing, one that it knows already replaces itself.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from libs.common.clock import to_rfc3339
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, SpecRegistered
from libs.common.events.envelope import Recorded
from libs.common.events.project import ProjectCreated, ProjectDeleted, ProjectFact, ProjectRenamed
from libs.common.events.replica import Replica, ReplicaFact, ReplicaState
from libs.common.events.rollout import (
    ReplicasRetiring,
    RolloutFact,
    RolloutPhase,
    RolloutProgressed,
    SpecApplied,
    SpecFailed,
    SpecHealthy,
    WorkloadRemoved,
)
from libs.common.events.scaling import ReplicasDecided
from libs.common.scaling.in_force import Decided, in_force
from libs.common.spec.model import Spec
from services.api.readmodels import staying
from services.api.readmodels.activity import Action, Activity, activities, scaled
from services.api.readmodels.decisions import kind_of, short
from services.api.readmodels.rows import Rows
from services.api.readmodels.tables import activities as activity_table
from services.api.readmodels.tables import decisions, deployments, instances, projects, specs

_PER_EVENT = 8
"""More activities than one event can lead to, so that their ids stay in the order of the log."""

HISTORY = 50
"""How many changes of an instance are kept; a replica that crashes for days would fill its row."""


def project_event(rows: Rows, event: Recorded) -> None:
    """Carry one event into the read models."""
    at = to_rfc3339(event.time)
    deployment_id = event.aggregate.id
    _put_decision(rows, event, at)
    match event.fact:
        case ProjectFact():
            _put_project(rows, event, at)
        case DeploymentCreated(name=name):
            rows.put(
                deployments,
                id=deployment_id,
                sequence=event.sequence,
                project_id=event.aggregate.project_id,
                name=name,
                created_at=at,
                deleted_at=None,
                spec_id=None,
                runs=[],
                retiring=[],
                decided=None,
            )
            _put_activities(rows, event, [Activity(Action.CREATED)])
        case SpecRegistered() as fact:
            _register(rows, event, fact)
        case DeploymentDeleted():
            rows.change(deployments, {"deleted_at": at}, id=deployment_id)
            _put_activities(rows, event, [Activity(Action.DELETED)])
        case ReplicasDecided() as fact:
            _decide(rows, event, fact)
        case RolloutFact() as fact:
            _roll_out(rows, event, fact, at)
        case ReplicaFact(roster=None, replica_id=replica_id, replica=replica):
            _put_replica(rows, event, replica_id, replica, at)
        case ReplicaFact(roster=roster):
            _put_roster(rows, event, roster or (), at)
        case _:
            pass


def _put_project(rows: Rows, event: Recorded, at: str) -> None:
    project_id = event.aggregate.id
    match event.fact:
        case ProjectCreated(name=name):
            rows.put(
                projects, id=project_id, sequence=event.sequence, name=name, created_at=at, deleted_at=None
            )
        case ProjectRenamed(name=name):
            rows.change(projects, {"name": name}, id=project_id)
        case ProjectDeleted():
            rows.change(projects, {"deleted_at": at}, id=project_id)


def _roll_out(rows: Rows, event: Recorded, fact: RolloutFact, at: str) -> None:
    deployment_id = event.aggregate.id
    match fact:
        case SpecApplied(spec_id=spec_id, runs=runs):
            rows.change(deployments, {"runs": [run.model_dump() for run in runs]}, id=deployment_id)
            staying.carry_out(rows, event, runs)
            rows.change(specs, {"error": None}, deployment_id=deployment_id, id=spec_id)
            rows.change(specs, {"applied_at": at}, deployment_id=deployment_id, id=spec_id, applied_at=None)
        case SpecHealthy(spec_id=spec_id):
            rows.change(specs, {"healthy_at": at}, deployment_id=deployment_id, id=spec_id, healthy_at=None)
        case SpecFailed(spec_id=spec_id, message=message):
            rows.change(specs, {"error": message}, deployment_id=deployment_id, id=spec_id)
        case RolloutProgressed(spec_id=spec_id, phase=phase, message=message):
            stalled = message if phase is RolloutPhase.STALLED else None
            rows.change(specs, {"stalled": stalled}, deployment_id=deployment_id, id=spec_id)
        case ReplicasRetiring(replica_ids=replica_ids):
            rows.change(deployments, {"retiring": list(replica_ids)}, id=deployment_id)
        case WorkloadRemoved():
            rows.change(deployments, {"runs": [], "retiring": []}, id=deployment_id)


def _register(rows: Rows, event: Recorded, fact: SpecRegistered) -> None:
    deployment_id = event.aggregate.id
    latest = rows.first(deployments, "spec_id", id=deployment_id)
    before = rows.first(specs, "data", deployment_id=deployment_id, id=latest) if latest is not None else None
    rows.put(
        specs,
        id=fact.spec_id,
        sequence=event.sequence,
        deployment_id=deployment_id,
        run_id=fact.run_id,
        user_id=event.cause.actor,
        data=fact.spec.to_wire(),
        created_at=to_rfc3339(event.time),
        applied_at=None,
        healthy_at=None,
        error=None,
        stalled=None,
        git=fact.git.model_dump(exclude_none=True) if fact.git else None,
        command_source=event.cause.causation_source,
        scaling_since=fact.scaling_since,
    )
    rows.change(deployments, {"spec_id": fact.spec_id, "name": fact.spec.name}, id=deployment_id)
    spec_before = Spec.model_validate(before) if before is not None else None
    _put_activities(rows, event, activities(spec_before, fact.spec))


def _decide(rows: Rows, event: Recorded, fact: ReplicasDecided) -> None:
    """The activity says what became of it: the number in force before and after, where that changed."""
    deployment_id = event.aggregate.id
    decided = Decided(fact.to_replicas, fact.stretch_id)
    for spec_id, before, deleted_at in rows.find(
        deployments, ("spec_id", "decided", "deleted_at"), id=deployment_id
    ):
        rows.change(deployments, {"decided": asdict(decided)}, id=deployment_id)
        for data, since in rows.find(
            specs, ("data", "scaling_since"), deployment_id=deployment_id, id=spec_id
        ):
            scale = replace(Spec.model_validate(data).scale, stretch_id=since)
            old, new = (
                in_force(scale, decision, is_deleted=deleted_at is not None)
                for decision in (None if before is None else Decided(**before), decided)
            )
            _put_activities(rows, event, scaled(old, new))


def _put_decision(rows: Rows, event: Recorded, at: str) -> None:
    if (kind := kind_of(event.fact)) is not None:
        rows.put(
            decisions,
            sequence=event.sequence,
            deployment_id=event.aggregate.id,
            kind=kind.value,
            type=event.type,
            actor=event.cause.actor,
            data=short(event),
            created_at=at,
        )


def _put_activities(rows: Rows, event: Recorded, found: Sequence[Activity]) -> None:
    for number, activity in enumerate(found):
        rows.put(
            activity_table,
            id=event.sequence * _PER_EVENT + number,
            project_id=event.aggregate.project_id,
            deployment_id=event.aggregate.id,
            action=activity.action.value,
            actor=event.cause.actor,
            command_source=event.cause.causation_source,
            data=activity.data,
            created_at=to_rfc3339(event.time),
        )


def _put_replica(rows: Rows, event: Recorded, replica_id: str, replica: Replica | None, at: str) -> None:
    """The row of the one replica that changed; every other one stays as it is."""
    deployment_id = event.aggregate.id
    if replica is None:
        staying.end(rows, event, replica_id)
        rows.delete(instances, deployment_id=deployment_id, id=replica_id)
        return
    known = rows.find(instances, _SHOWN, deployment_id=deployment_id, id=replica_id)
    if not known:
        staying.begin(rows, event, replica)
    if not known or known[0][:3] != (replica.state, replica.message, replica.attempt):
        _put_instance(rows, deployment_id, replica, known[0][3] if known else (), at)


def _put_roster(rows: Rows, event: Recorded, roster: Sequence[Replica], at: str) -> None:
    """The rows of all replicas, by a fact of version 1."""
    deployment_id = event.aggregate.id
    known = {row[0]: row[1:] for row in rows.find(instances, ("id", *_SHOWN), deployment_id=deployment_id)}
    for replica_id in known.keys() - {replica.replica_id for replica in roster}:
        staying.end(rows, event, replica_id)
        rows.delete(instances, deployment_id=deployment_id, id=replica_id)
    for replica in roster:
        if replica.replica_id not in known:
            staying.begin(rows, event, replica)
        *before, history = known.get(replica.replica_id, (None, None, None, ()))
        if before != [replica.state, replica.message, replica.attempt]:
            _put_instance(rows, deployment_id, replica, history, at)


_SHOWN = ("state", "message", "restarts", "history")


def _put_instance(rows: Rows, deployment_id: str, replica: Replica, history: Sequence[Any], at: str) -> None:
    entry = {"state": replica.state.value, "message": replica.message or "", "timestamp": at}
    rows.put(
        instances,
        id=replica.replica_id,
        deployment_id=deployment_id,
        run_id=replica.run_id,
        state=replica.state.value,
        message=replica.message,
        created_at=to_rfc3339(replica.created_at),
        restarts=replica.attempt,
        finished_at=at if replica.state is ReplicaState.FAILED else None,
        history=[*history, entry][-HISTORY:],
    )
