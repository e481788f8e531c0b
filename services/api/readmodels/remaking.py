"""Read models of one deployment or project, made anew: what could not be taken in is put right later."""

from typing import Any

from sqlalchemy import ColumnElement, Engine, Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.readmodels.rows import Rows
from services.api.readmodels.tables import (
    activities,
    decisions,
    deployments,
    instances,
    projects,
    set_aside,
    specs,
    stays,
)

_ROWS: tuple[tuple[Table, ColumnElement[Any]], ...] = (
    (projects, projects.c.id),
    (deployments, deployments.c.id),
    (specs, specs.c.deployment_id),
    (instances, instances.c.deployment_id),
    (stays, stays.c.deployment_id),
    (activities, activities.c.deployment_id),
    (decisions, decisions.c.deployment_id),
)
"""Every table that events fill, with the column that says whose row it is."""


async def read_set_aside(connection: AsyncConnection) -> list[str]:
    """Whose rows are to be made anew."""
    return list((await connection.execute(select(set_aside.c.id))).scalars())


def put_set_aside(rows: Rows, subject: str) -> None:
    """Remember that the rows of this one are not what the log says, also over a restart."""
    rows.put(set_aside, id=subject)


def replace_rows(engine: Engine, subject: str, scratch: Engine) -> None:
    """The rows of `subject` become those that `scratch` has, all at once."""
    with scratch.connect() as connection:
        made = [
            (table, [dict(row) for row in connection.execute(_of(table, column, subject)).mappings()])
            for table, column in _ROWS
        ]
    with engine.begin() as connection:
        for table, column in reversed(_ROWS):
            connection.execute(delete(table).where(column == subject))
        for table, rows in made:
            if rows:
                connection.execute(insert(table), rows)
        connection.execute(delete(set_aside).where(set_aside.c.id == subject))


def _of(table: Table, column: ColumnElement[Any], subject: str) -> Any:
    return select(table).where(column == subject)
