"""Writing the read models: in threads, in bounded transactions, beside those who read them."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from libs.common import telemetry
from libs.common.clock import Ticks, monotonic, to_rfc3339
from libs.common.events.envelope import Position, Recorded
from libs.common.log.timeline import Timeline
from services.api.readmodels.projection import project_event
from services.api.readmodels.rows import Rows
from services.api.readmodels.tables import checkpoint
from services.api.readmodels.times import put_step_backs

P = ParamSpec("P")
T = TypeVar("T")

MAX_BATCH = 500
"""Events in one transaction at most: replay is 20 times faster than one by one."""

TRANSACTION_S = 0.05
"""After this long a transaction takes no further event, so that who else has to write waits a moment only."""

_DURATIONS = telemetry.histogram(
    "specstream.readmodels.transaction.duration",
    unit="s",
    description="How long a transaction that writes the read models took, its commit included",
)


async def in_thread(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """As `asyncio.to_thread`, but whoever is cancelled waits for its end: nothing goes on behind his back."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **named))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # seen: the cancellation is what is told
        raise


@contextmanager
def transaction(engine: Engine, ticks: Ticks = monotonic) -> Iterator[Connection]:
    """Raises OperationalError of SQLAlchemy, also for what the driver raises by itself."""
    began = ticks()
    try:
        with engine.begin() as connection:
            yield connection
    except sqlite3.OperationalError as error:
        raise OperationalError(None, None, error) from error
    finally:
        _DURATIONS.record(ticks() - began)


def take_in(
    engine: Engine, events: Sequence[Recorded], *, log: str, timeline: Timeline, ticks: Ticks = monotonic
) -> int:
    """The first ones and the checkpoint, or none; how many: at least one, as many as the time is enough for.

    log: the identity of theirs. timeline: of all before them, and of these too when it returns; of no use
    after an error.
    """
    with transaction(engine) as connection:
        rows = Rows(connection)
        until = ticks() + TRANSACTION_S
        taken = 0
        for event in events:
            project_event(rows, timeline.take(event))
            taken += 1
            if ticks() >= until:
                break
        put_checkpoint(
            rows, Position(event.sequence, log, event.hash), timeline, after=events[0].sequence - 1
        )
    return taken


def take_all_in(engine: Engine, events: Sequence[Recorded], *, log: str, timeline: Timeline) -> None:
    """In as many transactions as it needs."""
    taken = 0
    while taken < len(events):
        taken += take_in(engine, events[taken:], log=log, timeline=timeline)


def put_checkpoint(rows: Rows, position: Position, timeline: Timeline, *, after: int | None = None) -> None:
    """after: the checkpoint before; the one right before `position` unless given."""
    put_step_backs(rows, timeline, after=position.sequence - 1 if after is None else after)
    rows.change(
        checkpoint,
        {
            "sequence": position.sequence,
            "log": position.log,
            "hash": position.hash,
            "latest": to_rfc3339(timeline.latest),
        },
        id=1,
    )
