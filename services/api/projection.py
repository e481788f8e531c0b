"""What each event does to the read models. The same events in the same order give the same rows.

Never fails on an event: one that it does not know changes nothing, one that it knows already replaces itself.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Table, delete, select, update

from libs.common.clock import to_rfc3339
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, SpecRegistered
from libs.common.events.envelope import Recorded
from libs.common.events.project import ProjectCreated, ProjectDeleted, ProjectFact, ProjectRenamed
from libs.common.events.replica import Replica, ReplicaFact, ReplicaState
from libs.common.events.rollout import (
    ReplicasRetiring,
    SpecApplied,
    SpecFailed,
    SpecHealthy,
    WorkloadRemoved,
)
from libs.common.spec.model import Spec
from services.api.activity import Action, Activity, activities
from services.api.tables import activities as activity_table
from services.api.tables import deployments, instances, projects, specs

_PER_EVENT = 8
"""More activities than one event can lead to, so that their ids stay in the order of the log."""

HISTORY = 50
"""How many changes of an instance are kept; a replica that crashes for days would fill its row."""


def project_event(connection: Connection, event: Recorded) -> None:
    """Carry one event into the read models, in the transaction of `connection`."""
    at = to_rfc3339(event.time)
    deployment_id = event.aggregate.id
    match event.fact:
        case ProjectFact():
            _put_project(connection, event, at)
        case DeploymentCreated(name=name):
            connection.execute(
                _put(deployments).values(
                    id=deployment_id,
                    sequence=event.sequence,
                    project_id=event.aggregate.project_id,
                    name=name,
                    created_at=at,
                    deleted_at=None,
                    spec_id=None,
                    runs=[],
                    retiring=[],
                )
            )
            _put_activities(connection, event, [Activity(Action.CREATED)])
        case SpecRegistered() as fact:
            _register(connection, event, fact)
        case DeploymentDeleted():
            connection.execute(_of(deployment_id).values(deleted_at=at))
            _put_activities(connection, event, [Activity(Action.DELETED)])
        case SpecApplied(spec_id=spec_id, runs=runs):
            connection.execute(_of(deployment_id).values(runs=[run.model_dump() for run in runs]))
            connection.execute(update(specs).where(specs.c.id == spec_id).values(error=None))
            _set_once(connection, spec_id, "applied_at", at)
        case SpecHealthy(spec_id=spec_id):
            _set_once(connection, spec_id, "healthy_at", at)
        case SpecFailed(spec_id=spec_id, message=message):
            connection.execute(update(specs).where(specs.c.id == spec_id).values(error=message))
        case ReplicasRetiring(replica_ids=replica_ids):
            connection.execute(_of(deployment_id).values(retiring=list(replica_ids)))
        case WorkloadRemoved():
            connection.execute(_of(deployment_id).values(runs=[], retiring=[]))
        case ReplicaFact(roster=None, replica_id=replica_id, replica=replica):
            _put_replica(connection, deployment_id, replica_id, replica, at)
        case ReplicaFact(roster=roster):
            _put_roster(connection, deployment_id, roster or (), at)
        case _:
            pass


def _put_project(connection: Connection, event: Recorded, at: str) -> None:
    project_id = event.aggregate.id
    this_project = update(projects).where(projects.c.id == project_id)
    match event.fact:
        case ProjectCreated(name=name):
            connection.execute(
                _put(projects).values(
                    id=project_id, sequence=event.sequence, name=name, created_at=at, deleted_at=None
                )
            )
        case ProjectRenamed(name=name):
            connection.execute(this_project.values(name=name))
        case ProjectDeleted():
            connection.execute(this_project.values(deleted_at=at))


def _put(table: Table) -> Insert:
    return table.insert().prefix_with("OR REPLACE")


def _of(deployment_id: str) -> Any:
    return update(deployments).where(deployments.c.id == deployment_id)


def _set_once(connection: Connection, spec_id: str, column: str, at: str) -> None:
    connection.execute(
        update(specs).where(specs.c.id == spec_id, specs.c[column].is_(None)).values({column: at})
    )


def _register(connection: Connection, event: Recorded, fact: SpecRegistered) -> None:
    deployment_id = event.aggregate.id
    before = connection.execute(
        select(specs.c.data)
        .join(deployments, deployments.c.spec_id == specs.c.id)
        .where(deployments.c.id == deployment_id)
    ).scalar_one_or_none()
    connection.execute(
        _put(specs).values(
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
            git=fact.git.model_dump(exclude_none=True) if fact.git else None,
            command_source=event.cause.causation_source,
        )
    )
    connection.execute(_of(deployment_id).values(spec_id=fact.spec_id, name=fact.spec.name))
    spec_before = Spec.model_validate(before) if before is not None else None
    _put_activities(connection, event, activities(spec_before, fact.spec))


def _put_activities(connection: Connection, event: Recorded, found: Sequence[Activity]) -> None:
    for number, activity in enumerate(found):
        connection.execute(
            _put(activity_table).values(
                id=event.sequence * _PER_EVENT + number,
                project_id=event.aggregate.project_id,
                deployment_id=event.aggregate.id,
                action=activity.action.value,
                actor=event.cause.actor,
                command_source=event.cause.causation_source,
                data=activity.data,
                created_at=to_rfc3339(event.time),
            )
        )


def _put_replica(
    connection: Connection, deployment_id: str, replica_id: str, replica: Replica | None, at: str
) -> None:
    """The row of the one replica that changed; every other one stays as it is."""
    this = (instances.c.id == replica_id) & (instances.c.deployment_id == deployment_id)
    if replica is None:
        connection.execute(delete(instances).where(this))
        return
    known = connection.execute(_KNOWN.where(this)).one_or_none()
    if known is None or (known.state, known.message) != (replica.state, replica.message):
        _put_instance(connection, deployment_id, replica, known.history if known else (), at)


def _put_roster(connection: Connection, deployment_id: str, roster: Sequence[Replica], at: str) -> None:
    """The rows of all replicas, by a fact of version 1."""
    rows = connection.execute(_KNOWN.where(instances.c.deployment_id == deployment_id))
    known = {row.id: row for row in rows}
    gone = known.keys() - {replica.replica_id for replica in roster}
    if gone:
        connection.execute(delete(instances).where(instances.c.id.in_(gone)))
    for replica in roster:
        row = known.get(replica.replica_id)
        if row is None or (row.state, row.message) != (replica.state, replica.message):
            _put_instance(connection, deployment_id, replica, row.history if row else (), at)


_KNOWN = select(instances.c.id, instances.c.state, instances.c.message, instances.c.history)


def _put_instance(
    connection: Connection, deployment_id: str, replica: Replica, history: Sequence[Any], at: str
) -> None:
    entry = {"state": replica.state.value, "message": replica.message or "", "timestamp": at}
    connection.execute(
        _put(instances).values(
            id=replica.replica_id,
            deployment_id=deployment_id,
            run_id=replica.run_id,
            state=replica.state.value,
            message=replica.message,
            created_at=to_rfc3339(replica.created_at),
            finished_at=at if replica.state is ReplicaState.FAILED else None,
            history=[*history, entry][-HISTORY:],
        )
    )
