"""A list of deployments goes over those that exist, however many were deleted."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event

from services.api.readmodels.database import open_database
from services.api.readmodels.paging import Paging
from services.api.readmodels.queries import Queries


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        pytest.param({}, "deployments_that_exist", id="all"),
        pytest.param({"name": "demo"}, "deployments_that_exist", id="of a name"),
        pytest.param({"project_id": "p"}, "deployments_by_project", id="of a project"),
        pytest.param({"project_id": "p", "name": "demo"}, "deployments_by_project", id="of both"),
    ],
)
@pytest.mark.parametrize("after", [None, 1000])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_list_is_read_by_an_index_of_what_exists(
    tmp_path: Path, asked: dict[str, str], index: str, after: int | None, order: str
) -> None:
    path = tmp_path / "read-models.db"
    engine = await open_database(path)
    queries = Queries(engine)
    plans: list[str] = []

    @event.listens_for(queries._reading._engine, "before_cursor_execute")
    def explain(_connection, _cursor, statement, parameters, *_) -> None:
        with sqlite3.connect(path) as beside:
            plans.extend(row[3] for row in beside.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    try:
        await queries.deployments(Paging(after=after, order=order, limit=10), **asked)
    finally:
        queries.close()
        await engine.dispose()
    assert any(index in plan for plan in plans), plans
    assert not any("SORT" in plan or "TEMP B-TREE" in plan for plan in plans), plans
