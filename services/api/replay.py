"""Whether the read models are what a fresh replay of the log makes of it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.common.events.envelope import Recorded
from libs.common.log.port import EventLog
from services.api.database import memory_database, read_checkpoint
from services.api.projector import EVERYTHING, MAX_BATCH, apply_batch
from services.api.tables import COMPARED


async def difference(log: EventLog, engine: AsyncEngine) -> str | None:
    """What the read models show otherwise than a replay up to their checkpoint; None when they are equal."""
    async with engine.connect() as connection:
        # One transaction, so that all tables are of one moment; SQLite's driver begins none for reads alone.
        await connection.exec_driver_sql("BEGIN")
        checkpoint = await read_checkpoint(connection)
        shown = {table.name: await _rows(connection, table) for table in COMPARED}
    fresh = await memory_database()
    try:
        await _replay(log, fresh, checkpoint)
        async with fresh.connect() as connection:
            for table in COMPARED:
                replayed = await _rows(connection, table)
                if replayed != shown[table.name]:
                    return _first_difference(table, shown[table.name], replayed)
    finally:
        await fresh.dispose()
    return None


async def _replay(log: EventLog, engine: AsyncEngine, until: int) -> None:
    batch: list[Recorded] = []
    async for event in log.read(EVERYTHING, until=until):
        batch.append(event)
        if len(batch) == MAX_BATCH:
            await apply_batch(engine, batch, log="")
            batch = []
    if batch:
        await apply_batch(engine, batch, log="")


async def _rows(connection: AsyncConnection, table: Table) -> Sequence[Any]:
    return (await connection.execute(select(table).order_by(*table.primary_key))).all()


def _first_difference(table: Table, shown: Sequence[Any], replayed: Sequence[Any]) -> str:
    for ours, fresh in zip(shown, replayed, strict=False):
        if ours != fresh:
            columns = [c.name for c, a, b in zip(table.columns, ours, fresh, strict=True) if a != b]
            return f"{table.name} {ours[0]} differs from a replay in {', '.join(columns)}"
    return f"{table.name} has {len(shown)} rows, a replay makes {len(replayed)}"
