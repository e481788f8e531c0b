"""Read models that another process has made of the same events, taken over at once."""

from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import Engine, MetaData, delete, insert, select, update
from sqlalchemy.exc import OperationalError

from libs.common.errors import LogUnavailable
from libs.common.events.envelope import Position
from libs.common.log.port import EventLog
from services.api.readmodels.tables import checkpoint, metadata
from services.api.readmodels.writer import in_thread

logger = structlog.get_logger()

_SCHEMA = "prepared"
_OWN = tuple(metadata.sorted_tables)
_MADE = MetaData()
_PAIRS = tuple((table, table.to_metadata(_MADE, schema=_SCHEMA)) for table in _OWN)


@dataclass(frozen=True, slots=True)
class Prepared:
    """file: of the read models, which whoever takes them over removes. end: the last event taken in."""

    file: Path
    end: Position

    def remove(self) -> None:
        self.file.unlink(missing_ok=True)


class Offer:
    """At most one, which may still be in the making."""

    def __init__(self) -> None:
        self._prepared: Awaitable[Prepared | None] | None = None

    def make(self, prepared: Awaitable[Prepared | None]) -> None:
        """None where they could not be made."""
        self._prepared = prepared

    async def take_over(self, engine: Engine, log: EventLog, *, after: int) -> bool:
        """Whether there were read models of what is in the log, which is not inside an import, and more than
        those up to `after`."""
        if self._prepared is None:
            return False
        prepared, self._prepared = await self._prepared, None
        if prepared is None:
            return False
        try:
            is_fit = after < prepared.end.sequence and await log.has(prepared.end)
            if is_fit:
                await in_thread(take_over, engine, prepared, log=await log.identity())
        except (OperationalError, LogUnavailable) as error:
            logger.warning("read models that were prepared could not be taken over", error=str(error))
            return False
        finally:
            prepared.remove()
        return is_fit


def take_over(engine: Engine, prepared: Prepared, *, log: str) -> None:
    """The rows and the checkpoint become those that were prepared, all or none. SQLite copies them by itself,
    and the interpreter is free meanwhile. log: the identity of the log that has the events."""
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ATTACH DATABASE ? AS {_SCHEMA}", (str(prepared.file),))
        connection.commit()
        try:
            with connection.begin():
                for table in reversed(_OWN):
                    connection.execute(delete(table))
                for table, made in _PAIRS:
                    columns = [column.name for column in table.columns]
                    connection.execute(insert(table).from_select(columns, select(made)))
                connection.execute(update(checkpoint).values(log=log))
        finally:
            connection.exec_driver_sql(f"DETACH DATABASE {_SCHEMA}")
