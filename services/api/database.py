"""Opening the read models: made when they are missing, made again when they are not of this version."""

import hashlib
import sqlite3
from pathlib import Path

import structlog
from sqlalchemy import event, insert, select, update
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from services.api import activity, projection, tables

logger = structlog.get_logger()

MAX_READERS = 8


def fingerprint() -> str:
    """Of the tables and of the code that fills them: when either changes, the read models are made anew."""
    digest = hashlib.sha256()
    for module in (tables, projection, activity):
        digest.update(Path(module.__file__ or "").read_bytes())
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


def cannot_write(error: DatabaseError) -> bool:
    """Whether the disk is to blame, such as a full one, and not what was asked for."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


async def memory_database() -> AsyncEngine:
    """Empty read models that nobody else sees."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    await _create(engine)
    return engine


async def read_checkpoint(connection: AsyncConnection) -> int:
    return int((await connection.execute(select(tables.checkpoint.c.sequence))).scalar_one())


async def write_checkpoint(connection: AsyncConnection, sequence: int) -> None:
    await connection.execute(update(tables.checkpoint).values(sequence=sequence))


def _prepare(path: Path) -> bool:
    """Whether there is a file already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.exists()


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", pool_size=MAX_READERS, max_overflow=0)

    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]  # DBAPI has no types
        # Readers do not wait for the writer. What a power failure takes, the log gives back.
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=OFF")
        cursor.close()

    return engine


async def _create(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
        await connection.execute(
            insert(tables.checkpoint).values(id=1, fingerprint=fingerprint(), sequence=0)
        )


async def _stored_fingerprint(engine: AsyncEngine) -> str | None:
    async with engine.connect() as connection:
        return (await connection.execute(select(tables.checkpoint.c.fingerprint))).scalar_one_or_none()
