"""Rows of the read models as events write them: one by one, in transactions that stay short."""

from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import Engine, select

from libs.common.log.memory import MemoryLog
from libs.common.log.timeline import Timeline
from services.api.readmodels.database import memory_database, position_of
from services.api.readmodels.rows import Rows
from services.api.readmodels.tables import deployments, specs
from services.api.readmodels.writer import TRANSACTION_S, in_thread, take_all_in, take_in, transaction
from tests.support.deployments import Storyteller


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = memory_database()
    yield made
    made.dispose()


def put_spec(rows: Rows, **more: object) -> None:
    values = {
        "id": "s",
        "sequence": 1,
        "deployment_id": "d",
        "run_id": "r",
        "user_id": "u",
        "created_at": "x",
    }
    rest = {"applied_at": None, "healthy_at": None, "error": None, "command_source": None}
    rows.put(specs, **{**values, **rest, "data": {"a": ["ü", 1]}, "git": None, **more})


def test_rows_are_what_sqlalchemy_reads(engine: Engine) -> None:
    with transaction(engine) as connection:
        rows = Rows(connection)
        put_spec(rows)
        put_spec(rows, run_id="another")
        (row,) = connection.execute(select(specs)).all()
        assert (row.run_id, row.data, row.git, row.applied_at) == ("another", {"a": ["ü", 1]}, None, None)
        assert rows.find(specs, ("id", "data", "git"), deployment_id="d") == [("s", {"a": ["ü", 1]}, None)]
        assert rows.first(specs, "run_id", id="nobody") is None


def test_a_condition_may_be_on_what_is_written(engine: Engine) -> None:
    with transaction(engine) as connection:
        rows = Rows(connection)
        put_spec(rows)
        for moment in ("first", "later"):
            rows.change(specs, {"applied_at": moment}, id="s", applied_at=None)
        assert rows.first(specs, "applied_at", id="s") == "first"
        rows.change(specs, {"id": "t"}, id="s")
        assert rows.find(specs, ("id",), deployment_id="d") == [("t",)]
        rows.delete(specs, id="t")
        assert rows.find(specs, ("id",), deployment_id="d") == []


async def test_a_transaction_takes_no_more_events_than_there_is_time_for(engine: Engine) -> None:
    log = MemoryLog()
    for _ in range(5):
        await Storyteller(log).create()
    events = [event async for event in log.read(">")]
    ticks, timeline = count(), Timeline()
    taken = take_in(engine, events, log="L", timeline=timeline, ticks=lambda: next(ticks) * TRANSACTION_S / 4)
    assert taken == 4
    with engine.connect() as connection:
        position = position_of(connection)
        assert (position.sequence, position.log, position.hash) == (4, "L", events[3].hash)
    await in_thread(take_all_in, engine, events[taken:], log="L", timeline=timeline)
    with engine.connect() as connection:
        assert position_of(connection).sequence == len(events)
        assert len(connection.execute(select(deployments)).all()) == 5
