"""Opening the read models: made when they are missing, made again when they are not of this version."""

import hashlib
import sqlite3
from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine, create_engine, delete, event, insert, select, update
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from libs.common import events, spec
from libs.common.events.envelope import Position
from libs.common.log import timeline, wire
from services.api.readmodels import activity, decisions, projection, rows, staying, tables, times

logger = structlog.get_logger()

MAX_READERS = 8


def fingerprint() -> str:
    """Of the tables and of the code that fills them: when either changes, the read models are made anew.

    The code that reads an event belongs to it: what one version does not understand another may, also of
    events that were taken in long ago.
    """
    digest = hashlib.sha256()
    read = [path for package in (events, spec) for path in sorted(Path(package.__path__[0]).glob("*.py"))]
    fill = [
        Path(module.__file__ or "")
        for module in (wire, timeline, tables, rows, times, projection, activity, decisions, staying)
    ]
    for path in (*read, *fill):
        digest.update(path.read_bytes())
    return digest.hexdigest()


async def open_database(path: Path) -> AsyncEngine:
    """The read models at `path`, with a checkpoint of 0 if they were made now."""
    was_there = _prepare(path)
    engine = _engine(path)
    if was_there:
        try:
            found = await _stored_fingerprint(engine)
        except OperationalError as error:
            if cannot_write(error):  # a full disk, not another version: what is there stays
                await engine.dispose()
                raise
            found = None
        except DatabaseError as error:
            logger.warning("read models cannot be read", error=str(error))
            found = None
        if found == fingerprint():
            return engine
        await engine.dispose()
        logger.info("read models are of another version: made anew from the log")
        _remove(path)
        engine = _engine(path)
    await _create(engine)
    return engine


def writer_beside(engine: AsyncEngine) -> Engine:
    """Another way into the same read models, for threads that write or read them in bulk."""
    return open_beside(path_of(engine))


def path_of(engine: AsyncEngine) -> Path:
    return Path(str(engine.url.database))


def open_beside(path: Path, *, most: int = 5) -> Engine:
    """As `writer_beside`, for another process. most: connections that are kept open."""
    beside = create_engine(f"sqlite:///{path}", pool_size=most)
    _at_connect(beside, *_SHARED)
    return beside


def memory_database() -> Engine:
    """Empty read models that nobody else sees, for a few events."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.begin() as connection:
        _fill(connection)
    return engine


def cannot_write(error: DatabaseError) -> bool:
    """Whether the disk is to blame, such as a full one, and not what was asked for."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


def scratch_database(path: Path) -> Engine:
    """Empty read models at `path` that nobody else sees, and nobody needs after a crash."""
    engine = create_engine(
        f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    _at_connect(engine, "PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF")
    with engine.begin() as connection:
        _fill(connection)
    return engine


async def read_checkpoint(connection: AsyncConnection) -> int:
    """The sequence of the last event taken in."""
    return (await read_position(connection)).sequence


async def read_position(connection: AsyncConnection) -> Position:
    """The last event taken in."""
    return await connection.run_sync(position_of)


def position_of(connection: Connection) -> Position:
    """The last event taken in."""
    table = tables.checkpoint.c
    row = connection.execute(select(table.sequence, table.log, table.hash)).one()
    return Position(int(row.sequence), row.log, row.hash)


def empty(engine: Engine) -> None:
    """Forget every event that was taken in."""
    with engine.begin() as connection:
        for table in reversed(tables.metadata.sorted_tables):
            if table is not tables.checkpoint:
                connection.execute(delete(table))
        connection.execute(update(tables.checkpoint).values(sequence=0, log="", hash="", latest=None))


def _prepare(path: Path) -> bool:
    """Whether there is a file already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.exists()


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", pool_size=MAX_READERS, max_overflow=0)

    _at_connect(engine.sync_engine, *_SHARED)
    return engine


_SHARED = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL")
"""Readers do not wait for the writer. A power failure may take the newest transactions, each whole with its
checkpoint, and the log gives them back; with less syncing it may leave a file that is broken."""


def _at_connect(engine: Engine, *statements: str) -> None:
    @event.listens_for(engine, "connect")
    def _configure(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]  # DBAPI has no types
        for statement in statements:
            cursor.execute(statement)
        cursor.close()


async def _create(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(_fill)


def _fill(connection: Connection) -> None:
    tables.metadata.create_all(connection)
    connection.execute(
        insert(tables.checkpoint).values(id=1, fingerprint=fingerprint(), log="", sequence=0, hash="")
    )


async def _stored_fingerprint(engine: AsyncEngine) -> str | None:
    async with engine.connect() as connection:
        return (await connection.execute(select(tables.checkpoint.c.fingerprint))).scalar_one_or_none()
