"""What is known of the times of the log, kept with the read models and written with each of their batches."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.clock import to_rfc3339
from libs.common.log.timeline import BEGINNING, StepBack, Timeline
from services.api.readmodels.rows import Rows
from services.api.readmodels.tables import checkpoint, step_backs


async def read_timeline(connection: AsyncConnection) -> Timeline:
    """Up to the last event that was taken in."""
    row = (await connection.execute(select(checkpoint.c.sequence, checkpoint.c.latest))).one()
    found = (await connection.execute(select(step_backs).order_by(step_backs.c.first))).all()
    return Timeline(
        row.sequence,
        BEGINNING if row.latest is None else datetime.fromisoformat(row.latest),
        [StepBack(one.first, one.last, datetime.fromisoformat(one.time)) for one in found],
    )


def put_step_backs(rows: Rows, timeline: Timeline, *, after: int) -> None:
    """after: the checkpoint; what reaches no further is written already."""
    for one in timeline.step_backs(after=after):
        rows.put(step_backs, first=one.first, last=one.last, time=to_rfc3339(one.time))
