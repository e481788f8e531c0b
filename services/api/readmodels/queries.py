"""Reads for the API, from SQL: never the ground of a decision."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, Table, and_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.events.replica import ReplicaState
from libs.common.ids import DEFAULT_PROJECT
from libs.common.scaling.in_force import Decided
from services.api.readmodels.database import path_of
from services.api.readmodels.decisions import DecisionKind, DecisionRecord
from services.api.readmodels.numbers import Said
from services.api.readmodels.paging import Page, Paging, make_page
from services.api.readmodels.reading import Reading
from services.api.readmodels.records import (
    ActivityRecord,
    DeploymentRecord,
    InstanceRecord,
    ProjectRecord,
    SpecRecord,
    scale_of,
)
from services.api.readmodels.tables import activities, decisions, deployments, instances, projects, specs

DEFAULT = ProjectRecord(DEFAULT_PROJECT, 0, DEFAULT_PROJECT, "1970-01-01T00:00:00.000000Z")
"""Older than the log, so no row holds it."""

_DEPLOYMENTS = (
    select(
        *(column.label(f"d_{column.name}") for column in deployments.c),
        *(column.label(f"s_{column.name}") for column in specs.c),
    )
    .select_from(deployments)
    .outerjoin(specs, and_(specs.c.deployment_id == deployments.c.id, specs.c.id == deployments.c.spec_id))
)


_DEPLOYMENT = _DEPLOYMENTS.where(deployments.c.id == bindparam("id"))
_INSTANCES = (
    select(instances)
    .where(instances.c.deployment_id == bindparam("id"))
    .order_by(instances.c.created_at, instances.c.id)
)


class Queries:
    """Nothing here raises for what is not there: it answers None, or an empty page."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._reading = Reading(path_of(engine))

    def close(self) -> None:
        self._reading.close()

    async def projects(self, paging: Paging) -> Page[ProjectRecord]:
        query = select(projects).where(projects.c.deleted_at.is_(None))
        found = [ProjectRecord(**row) for row in await self._page(query, projects, paging)]
        is_here = paging.after is None if paging.order == "asc" else len(found) <= paging.limit
        if is_here and (paging.after is None or paging.after > 0):
            found.insert(0 if paging.order == "asc" else len(found), DEFAULT)
        return make_page("projects", found, paging.limit, lambda project: project.sequence)

    async def project(self, project_id: str) -> ProjectRecord | None:
        """Also one that is deleted."""
        if project_id == DEFAULT_PROJECT:
            return DEFAULT
        rows = await self._rows(select(projects).where(projects.c.id == project_id))
        return ProjectRecord(**rows[0]) if rows else None

    async def deployments(
        self, paging: Paging, *, project_id: str | None = None, name: str | None = None
    ) -> Page[DeploymentRecord]:
        """Those that exist, newest or oldest first."""
        query = _DEPLOYMENTS.where(deployments.c.deleted_at.is_(None))
        if project_id is not None:
            query = query.where(deployments.c.project_id == project_id)
        if name is not None:
            query = query.where(deployments.c.name == name)
        found = [_deployment(row) for row in await self._page(query, deployments, paging)]
        return make_page("deployments", found, paging.limit, lambda deployment: deployment.sequence)

    async def deployment(self, deployment_id: str) -> DeploymentRecord | None:
        """Also one that is deleted."""
        rows = await self._reading.rows(_DEPLOYMENT, id=deployment_id)
        return _deployment(rows[0]) if rows else None

    async def specs(self, deployment_id: str, paging: Paging) -> Page[SpecRecord]:
        query = select(specs).where(specs.c.deployment_id == deployment_id)
        found = [_spec(row) for row in await self._page(query, specs, paging)]
        return make_page("history", found, paging.limit, lambda spec: spec.sequence)

    async def spec(self, deployment_id: str, spec_id: str) -> SpecRecord | None:
        query = select(specs).where(specs.c.deployment_id == deployment_id, specs.c.id == spec_id)
        rows = await self._rows(query)
        return _spec(rows[0]) if rows else None

    async def instances(self, deployment_id: str) -> list[InstanceRecord]:
        """Oldest first."""
        columns = ("id", "run_id", "state", "message", "created_at", "finished_at", "restarts")
        return [
            InstanceRecord(**{c: row[c] for c in columns}, history=tuple(row["history"]))
            for row in await self._reading.rows(_INSTANCES, id=deployment_id)
        ]

    async def ready_counts(self, found: Iterable[DeploymentRecord]) -> dict[str, int]:
        """How many replicas of the wanted run get requests and stay, by deployment."""
        wanted = {d.id: d for d in found if d.spec is not None}
        query = select(instances.c.deployment_id, instances.c.run_id, instances.c.id).where(
            instances.c.deployment_id.in_(wanted), instances.c.state == ReplicaState.RUNNING.value
        )
        counts = dict.fromkeys(wanted, 0)
        for row in await self._rows(query):
            deployment = wanted[row["deployment_id"]]
            is_wanted = deployment.spec is not None and row["run_id"] == deployment.spec.run_id
            counts[deployment.id] += is_wanted and row["id"] not in deployment.retiring
        return counts

    async def activities(
        self, project_id: str, paging: Paging, *, deployment_id: str | None = None, name: str | None = None
    ) -> Page[ActivityRecord]:
        query = (
            select(
                *(c for c in activities.c if c.name != "project_id"),
                deployments.c.name.label("deployment_name"),
                deployments.c.deleted_at.label("deployment_deleted_at"),
            )
            .join(deployments, deployments.c.id == activities.c.deployment_id)
            .where(activities.c.project_id == project_id)
        )
        if deployment_id is not None:
            query = query.where(activities.c.deployment_id == deployment_id)
        if name is not None:
            query = query.where(deployments.c.name == name)
        found = [
            ActivityRecord(**row)
            for row in await self._page(query, activities, paging, place=activities.c.id)
        ]
        return make_page("activity", found, paging.limit, lambda activity: activity.id)

    async def decisions(
        self,
        deployment_id: str,
        paging: Paging,
        *,
        kind: DecisionKind | None = None,
        until: int | None = None,
    ) -> Page[DecisionRecord]:
        """until: the newest sequence."""
        query = select(decisions).where(decisions.c.deployment_id == deployment_id)
        if kind is not None:
            query = query.where(decisions.c.kind == kind.value)
        if until is not None:
            query = query.where(decisions.c.sequence <= until)
        found = [
            DecisionRecord(**{**row, "kind": DecisionKind(row["kind"])})
            for row in await self._page(query, decisions, paging)
        ]
        return make_page("decisions", found, paging.limit, lambda decision: decision.sequence)

    async def said(self, deployment_id: str, *, since: str, until: str) -> list[Said]:
        """What was asked for and decided between these times, as the API spells them, and the newest of each
        before."""
        of_specs = (specs.c.sequence, specs.c.created_at, specs.c.data, specs.c.scaling_since)
        of_decisions = (decisions.c.sequence, decisions.c.created_at, decisions.c.data)
        found = []
        for row in await self._rows(_since(select(*of_specs), specs, deployment_id, since, until)):
            scale = scale_of(row["data"], row["scaling_since"])
            found.append(Said(row["sequence"], datetime.fromisoformat(row["created_at"]), scale=scale))
        scaling = select(*of_decisions).where(decisions.c.kind == DecisionKind.SCALING.value)
        for row in await self._rows(_since(scaling, decisions, deployment_id, since, until)):
            decided = Decided(row["data"]["to_replicas"], row["data"]["stretch_id"])
            found.append(Said(row["sequence"], datetime.fromisoformat(row["created_at"]), decided=decided))
        return found

    async def newest_spec_before(self, moment: str) -> int:
        """The sequence of the newest spec registered up to then; 0 for none. moment: as the API spells it."""
        query = select(func.max(specs.c.sequence).label("sequence")).where(specs.c.created_at <= moment)
        return (await self._rows(query))[0]["sequence"] or 0

    async def _page(
        self,
        query: Select[Any],
        table: Table,
        paging: Paging,
        *,
        place: ColumnElement[int] | None = None,
    ) -> list[RowMapping]:
        """One row more than the limit, so that the caller knows whether there is another page."""
        column = table.c.sequence if place is None else place
        if paging.after is not None:
            query = query.where(column > paging.after if paging.order == "asc" else column < paging.after)
        query = query.order_by(column.asc() if paging.order == "asc" else column.desc())
        return await self._rows(query.limit(paging.limit + 1))

    async def _rows(self, query: Select[Any]) -> list[RowMapping]:
        return await self._reading.rows(query)


def _since(query: Select[Any], table: Table, deployment_id: str, since: str, until: str) -> Select[Any]:
    """Of the deployment, between these times, and the newest before."""
    theirs = query.where(table.c.deployment_id == deployment_id, table.c.created_at <= until)
    earlier = theirs.where(table.c.created_at < since).order_by(table.c.sequence.desc()).limit(1).subquery()
    newest = select(earlier.c.sequence).scalar_subquery()
    return theirs.where((table.c.created_at >= since) | (table.c.sequence == newest))


def _deployment(row: RowMapping) -> DeploymentRecord:
    values = dict(row)
    spec = {key[2:]: value for key, value in values.items() if key.startswith("s_")}
    return DeploymentRecord(
        id=values["d_id"],
        sequence=values["d_sequence"],
        project_id=values["d_project_id"],
        name=values["d_name"],
        created_at=values["d_created_at"],
        deleted_at=values["d_deleted_at"],
        spec=_spec(spec) if spec["id"] is not None else None,
        runs=tuple(run["run_id"] for run in values["d_runs"]),
        retiring=frozenset(values["d_retiring"]),
        decided=Decided(**decided) if (decided := values["d_decided"]) is not None else None,
    )


def _spec(values: Mapping[str, Any] | RowMapping) -> SpecRecord:
    return SpecRecord(**values)
