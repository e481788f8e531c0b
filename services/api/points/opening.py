"""Opening the database of points, or a new one where it cannot be read."""

import sqlite3
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DatabaseError

from services.api.points import tables

logger = structlog.get_logger()


def opened(path: Path) -> Engine:
    """What cannot be read is put aside: nothing that was measured is worth a platform that does not start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _prepared(path)
    except DatabaseError as error:
        if not isinstance(error.orig, sqlite3.DatabaseError) or isinstance(
            error.orig, sqlite3.OperationalError
        ):
            raise
        aside = path.with_name(f"{path.name}.unreadable")
        logger.warning("points cannot be read and are put aside", aside=str(aside), error=str(error))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.replace(aside)
        return _prepared(path)


def _prepared(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        for statement in _PRAGMAS:
            connection.execute(statement)

    try:
        with engine.begin() as connection:
            tables.metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version={tables.VERSION}")
    except DatabaseError:
        engine.dispose()
        raise
    return engine


_PRAGMAS: Final = (
    "PRAGMA auto_vacuum=INCREMENTAL",
    "PRAGMA journal_mode=WAL",
    "PRAGMA journal_size_limit=4194304",
    "PRAGMA synchronous=NORMAL",
)
"""A power failure may take the newest minutes, and METRICS gives them back. The first is for a new file."""
