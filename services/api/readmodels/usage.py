"""What was used between two times: replica-seconds and their cost, from what the log says of replicas."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.clock import to_rfc3339
from libs.common.machine_types.catalogue import MachineTypes
from libs.common.machine_types.pricing import cost
from services.api.readmodels.tables import deployments, stays

GroupBy = Literal["deployment", "spec", "project", "machineType"]


@dataclass(frozen=True, slots=True)
class Stay:
    """A replica was there from `begin` to `end`. deployment_name: the newest name."""

    deployment_id: str
    deployment_name: str
    spec_id: str
    project_id: str
    machine_type: str
    begin: datetime
    end: datetime


@dataclass(slots=True)
class Used:
    """Of one group. cost: None where a part has no price. unpriced: the machine types of that part."""

    deployment_id: str | None = None
    deployment_name: str | None = None
    spec_id: str | None = None
    project_id: str | None = None
    machine_type: str | None = None
    replica_seconds: float = 0.0
    cost: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    groups: tuple[Used, ...]
    """The largest first."""
    total: Used
    unpriced: tuple[str, ...]


_NAMED: dict[GroupBy, tuple[str, ...]] = {
    "deployment": ("deployment_id", "deployment_name", "project_id"),
    "spec": ("deployment_id", "deployment_name", "project_id", "spec_id", "machine_type"),
    "project": ("project_id",),
    "machineType": ("machine_type",),
}
"""What tells a group from the others, and names it."""


def add_up(stays_: Iterable[Stay], group_by: GroupBy, machine_types: MachineTypes) -> Usage:
    """Whatever order they come in."""
    groups: dict[tuple[str, ...], Used] = {}
    total, unpriced = Used(), set()
    for stay in sorted(stays_, key=lambda one: (one.begin, one.end, one.deployment_id, one.spec_id)):
        names = {name: getattr(stay, name) for name in _NAMED[group_by]}
        group = groups.setdefault(tuple(names.values()), Used(**names))
        machine_type = machine_types.get(stay.machine_type)
        price = cost(machine_type.price_per_hour if machine_type else None, stay.begin, stay.end)
        if price is None:
            unpriced.add(stay.machine_type)
        for used in (group, total):
            used.replica_seconds += (stay.end - stay.begin).total_seconds()
            used.cost = None if price is None or used.cost is None else used.cost + price
    largest_first = sorted(groups.items(), key=lambda item: (-item[1].replica_seconds, item[0]))
    return Usage(tuple(used for _, used in largest_first), total, tuple(sorted(unpriced)))


async def read_stays(
    engine: AsyncEngine, begin: datetime, end: datetime, *, deployment_id: str | None = None
) -> list[Stay]:
    """What there was between these times, cut to them. end: not in the future."""
    is_there = stays.c.started_at < to_rfc3339(end)
    is_not_over = or_(stays.c.ended_at.is_(None), stays.c.ended_at > to_rfc3339(begin))
    query = (
        select(stays, deployments.c.name.label("deployment_name"))
        .outerjoin(deployments, deployments.c.id == stays.c.deployment_id)
        .where(is_there, is_not_over)
    )
    if deployment_id is not None:
        query = query.where(stays.c.deployment_id == deployment_id)
    async with engine.connect() as connection:
        return [_stay(row, begin, end) for row in (await connection.execute(query)).all()]


def _stay(row: Row[tuple[str, ...]], begin: datetime, end: datetime) -> Stay:
    ended = end if row.ended_at is None else datetime.fromisoformat(row.ended_at)
    return Stay(
        deployment_id=row.deployment_id,
        deployment_name=row.deployment_name or "",
        spec_id=row.spec_id,
        project_id=row.project_id,
        machine_type=row.machine_type,
        begin=max(begin, datetime.fromisoformat(row.started_at)),
        end=min(end, ended),
    )
