"""Reads of the read models in threads: whoever reads holds up nobody, and is held up by nobody."""

import asyncio

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import OperationalError

from services.api.readmodels.database import MAX_READERS, open_beside, open_database
from services.api.readmodels.reading import Reading
from services.api.readmodels.tables import projects
from tests.support.polling import let_others_run

SLOW = text(
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < :most) SELECT max(x) x FROM n"
)
"""Counts, in SQLite alone."""
ROW = {"id": "p", "sequence": 1, "name": "p", "created_at": "2026-01-31T12:00:00.000000Z"}


@pytest.fixture
async def path(tmp_path):
    engine = await open_database(tmp_path / "read.db")
    yield tmp_path / "read.db"
    await engine.dispose()


@pytest.fixture
def reading(path):
    reading = Reading(path)
    yield reading
    reading.close()


async def test_more_reads_at_once_than_there_are_readers_are_all_answered(reading):
    found = await asyncio.gather(*(reading.rows(SLOW, most=n) for n in range(1, 10 * MAX_READERS)))
    assert [rows[0]["x"] for rows in found] == list(range(1, 10 * MAX_READERS))


async def test_a_read_that_takes_long_holds_up_neither_the_loop_nor_another_read(reading):
    is_held_up = []
    # One longer than the others have to wait for a processor, however many want one.
    for most in (5_000_000, 50_000_000):
        long = asyncio.ensure_future(reading.rows(SLOW, most=most))
        for number in range(1, 20):
            assert (await reading.rows(SLOW, most=number))[0]["x"] == number
        is_held_up.append(long.done())
        assert (await long)[0]["x"] == most
        if not is_held_up[-1]:
            break
    assert not all(is_held_up)


async def test_a_read_beside_a_transaction_shows_what_was_so_before_it(path, reading):
    writer = open_beside(path)
    try:
        with writer.begin() as connection:
            connection.execute(insert(projects).values(**ROW))
            assert await reading.rows(select(projects)) == []
        (row,) = await reading.rows(select(projects))
        assert row["name"] == "p"
    finally:
        writer.dispose()


async def test_what_goes_wrong_is_raised_where_it_was_asked_and_harms_no_later_read(reading):
    with pytest.raises(OperationalError, match="no such table"):
        await reading.rows(text("SELECT * FROM absent"))
    for _ in range(2 * MAX_READERS):
        assert await reading.rows(select(projects)) == []


async def test_who_asks_no_more_leaves_nothing_behind(reading):
    for _ in range(3 * MAX_READERS):
        asked = asyncio.ensure_future(reading.rows(SLOW, most=100_000))
        await let_others_run(1)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    assert await reading.rows(select(projects)) == []
