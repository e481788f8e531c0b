"""Whether the read models are what a fresh replay of the log makes of it."""

import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.common.events.envelope import Recorded
from libs.common.log.port import EventLog
from libs.common.log.timeline import Timeline
from services.api.database import read_checkpoint, scratch_database
from services.api.projector import EVERYTHING, MAX_BATCH, apply_batch
from services.api.tables import COMPARED

ROWS = 100
"""Of a table that are looked at together. A row may hold a whole spec."""


async def difference(log: EventLog, engine: AsyncEngine, *, folder: Path) -> str | None:
    """What the read models show otherwise than a replay up to their checkpoint; None when they are equal.

    folder: where the replay lies meanwhile: it grows as large as the read models.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".replay-") as scratch:
        fresh = await scratch_database(Path(scratch) / "read.db")
        try:
            async with engine.connect() as shown:
                checkpoint = await read_checkpoint(shown)
            timeline = Timeline()
            await _replay(log, fresh, timeline, after=0, until=checkpoint)
            async with engine.connect() as shown, fresh.connect() as replayed:
                # One transaction, so that all tables are of one moment; SQLite's driver begins none for reads
                # alone. Only now: what is written while it lasts cannot be tidied up.
                await shown.exec_driver_sql("BEGIN")
                await _replay(log, fresh, timeline, after=checkpoint, until=await read_checkpoint(shown))
                for table in COMPARED:
                    if found := await _difference(table, shown, replayed):
                        return found
        finally:
            await fresh.dispose()
    return None


async def _replay(log: EventLog, engine: AsyncEngine, timeline: Timeline, *, after: int, until: int) -> None:
    batch: list[Recorded] = []
    async for event in log.read(EVERYTHING, after=after, until=until):
        batch.append(event)
        if len(batch) == MAX_BATCH:
            await apply_batch(engine, batch, log="", timeline=timeline)
            batch = []
    if batch:
        await apply_batch(engine, batch, log="", timeline=timeline)


async def _difference(table: Table, shown: AsyncConnection, replayed: AsyncConnection) -> str | None:
    """Both sides in the order of their keys, a few rows at a time."""
    (key,) = table.primary_key
    page = select(table).order_by(key).limit(ROWS)
    while True:
        ours = list((await shown.execute(page)).all())
        fresh = list((await replayed.execute(page)).all())
        if ours != fresh:
            return _first_difference(table, ours, fresh)
        if len(ours) < ROWS:
            return None
        page = select(table).order_by(key).limit(ROWS).where(key > ours[-1]._mapping[key])  # noqa: SLF001 - its name in the library


def _first_difference(table: Table, shown: list[Row[Any]], replayed: list[Row[Any]]) -> str:
    (key,) = table.primary_key
    place = table.columns.values().index(key)
    ours = {row[place]: row for row in shown}
    fresh = {row[place]: row for row in replayed}
    # Behind the end of the shorter page nothing is known of its side.
    first = min(at for at in ours.keys() | fresh.keys() if ours.get(at) != fresh.get(at))
    if first not in fresh:
        return f"{table.name} {first} is shown, and a replay does not make it"
    if first not in ours:
        return f"{table.name} {first} is made by a replay, and not shown"
    pairs = zip(table.columns, ours[first], fresh[first], strict=True)
    columns = [column.name for column, a, b in pairs if a != b]
    return f"{table.name} {first} differs from a replay in {', '.join(columns)}"
