"""Verifying all there is: every event of the log, and that the read models are what a fresh replay gives."""

from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.events.envelope import Recorded
from libs.common.log import wire
from libs.common.log.batches import batches
from libs.common.log.head import LogHead
from libs.common.log.ledger import Ledger
from libs.common.log.port import Archive, Stored
from libs.common.log.verify import Corrupt, Verification, Verified
from services.api.readmodels.database import position_of, read_checkpoint, writer_beside
from services.api.readmodels.replay import Replay
from services.api.readmodels.writer import in_thread

AT_ONCE = 25
"""Events between two moments in which others are served."""


_END = object()


@dataclass(frozen=True, slots=True)
class Reached:
    """How far it is: `sequence` of `last` events."""

    sequence: int
    last: int


async def verify_all(
    archive: Archive, engine: AsyncEngine, *, head: LogHead | None, folder: Path
) -> AsyncIterator[Reached | Verified | Corrupt]:
    """How far it is, again and again, and at last what was found: each event is read once.

    engine: the read models. head: what the log is held to. folder: where what it needs lies meanwhile.
    """
    async with engine.connect() as connection:
        checkpoint = await read_checkpoint(connection)
    last = await archive.last_sequence()
    with Ledger(folder) as ledger, Replay(folder) as replay:
        verification = Verification(ledger, head)

        def take(events: list[Stored]) -> Corrupt | None:
            corrupt = verification.take(events)
            if corrupt is None:
                replay.take([_recorded(event) for event in events if event.sequence <= checkpoint])
            return corrupt

        async for batch in batches(archive.read_raw(), AT_ONCE):
            if corrupt := await in_thread(take, batch):
                yield corrupt
                return
            yield Reached(verification.sequence, max(last, verification.sequence))
        result = verification.end(at_least=checkpoint)
        if isinstance(result, Verified):
            beside = writer_beside(engine)
            try:
                result = await _compare(archive, beside, replay, checkpoint) or result
            finally:
                beside.dispose()
        yield result


async def _compare(archive: Archive, engine: Engine, replay: Replay, checkpoint: int) -> Corrupt | None:
    """The replay, which has taken all up to the checkpoint, with what is shown now."""
    with engine.connect() as shown:
        # One transaction, so that all tables are of one moment; SQLite's driver begins none for reads alone.
        # Only now: what is written while it lasts cannot be tidied up.
        await in_thread(shown.exec_driver_sql, "BEGIN")
        until = position_of(shown).sequence
        async for batch in batches(archive.read_raw(after=checkpoint, until=until), AT_ONCE):
            await in_thread(replay.take, [_recorded(event) for event in batch])
        with closing(replay.pages(shown)) as pages:
            while (unequal := await in_thread(next, pages, _END)) is not _END:
                if unequal:
                    return Corrupt(until, str(unequal))
    return None


def _recorded(event: Stored) -> Recorded:
    return wire.to_recorded(event.sequence, event.time, event.subject, event.headers, event.data)
