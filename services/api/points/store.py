"""The database of points: written minute by minute, packed by the hour, bounded in age and in size."""

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Engine, create_engine, delete, event, func, insert, select, union, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DatabaseError

from services.api.points import tables
from services.api.points.minutes import Minute
from services.api.points.packing import Row, average_by, pack, unpack
from services.api.points.tables import DEPLOYMENT, EDGE, GPU, REPLICA, days, hours, minutes, position, series

logger = structlog.get_logger()

HOUR: Final = 60
"""Minutes of an hour."""
KEPT: Final = 15 * 24
"""Hours."""
FINE: Final = 24
"""Hours for which a replica has each of its minutes."""
COARSE: Final = 15
"""Minutes of a replica's points after that."""
_FULL: Final = 0.9
"""Of the room: the rest is for what is written until the next look, and for the write-ahead log."""
_OF_DAYS: Final = 0.25
"""Of the room, for the requests of days."""
_DAY_BYTES: Final = 200
"""That one deployment's day takes, with its place in the index."""
_PACKED_AT_ONCE: Final = 500
"""Series in one transaction."""
_ASKED_AT_ONCE: Final = 500
"""Deployments whose series are looked up by one statement."""

Key = tuple[int, str, str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """A series and its points, each with its minute and how many minutes it is of."""

    kind: int
    deployment_id: str
    replica_id: str
    gpu: int
    points: tuple[tuple[int, int, tuple[float | None, ...]], ...]


class PointStore:
    """Blocking: call it in threads. At most `most_bytes` on the disk; the oldest hour goes whole."""

    def __init__(self, path: Path, *, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._engine = _opened(path)
        self._lock = threading.Lock()
        self._ids: dict[Key, int] = {}
        """The series of which there were points since the last full hour: of what exists, not of all that
        there was in the days that are kept."""

    def close(self) -> None:
        self._engine.dispose()

    def last_minute(self) -> int | None:
        with self._engine.connect() as connection:
            return connection.execute(select(position.c.minute)).scalar_one_or_none()

    def put(self, minute: Minute) -> None:
        """All of it or nothing; one that was taken in before changes nothing."""
        with self._lock:
            last = self.last_minute()
            if last is not None and minute.number <= last:
                return
            try:
                with self._engine.begin() as connection:
                    self._put(connection, minute)
            except BaseException:
                self._ids.clear()
                raise
            self._tidy(minute.number)

    def _put(self, connection: Connection, minute: Minute) -> None:
        rows = list(self._rows(connection, minute))
        if rows:
            connection.execute(insert(minutes).prefix_with("OR REPLACE"), rows)
        self._put_day(connection, minute)
        connection.execute(insert(position).prefix_with("OR REPLACE"), {"id": 1, "minute": minute.number})

    def _rows(self, connection: Connection, minute: Minute) -> Iterator[dict[str, Any]]:
        points: dict[Key, tuple[float | None, ...]] = {}
        if minute.has_requests:
            points[EDGE, "", "", -1] = (1.0,)
        for deployment_id, point in minute.deployments.items():
            points[DEPLOYMENT, deployment_id, "", -1] = astuple(point)
        for (deployment_id, replica_id), used in minute.replicas.items():
            points[REPLICA, deployment_id, replica_id, -1] = astuple(used)
        for (deployment_id, replica_id, gpu), of_gpu in minute.gpus.items():
            points[GPU, deployment_id, replica_id, gpu] = astuple(of_gpu)
        ids = self._series(connection, points)
        for key, values in points.items():
            data = pack([(minute.number % HOUR, values)])
            yield {"series": ids[key], "minute": minute.number, "data": data}

    def _series(self, connection: Connection, keys: Collection[Key]) -> dict[Key, int]:
        if strange := {key for key in keys if key not in self._ids}:
            self._ids |= _known(connection, strange)
        if missing := [key for key in keys if key not in self._ids]:
            newest = connection.execute(select(func.max(series.c.id))).scalar_one() or 0
            made = {key: newest + 1 + number for number, key in enumerate(missing)}
            names = ("kind", "deployment_id", "replica_id", "gpu")
            connection.execute(
                insert(series), [{"id": made[key], **dict(zip(names, key, strict=True))} for key in missing]
            )
            self._ids |= made
        return self._ids

    def _put_day(self, connection: Connection, minute: Minute) -> None:
        day = datetime.fromtimestamp(minute.number * 60, UTC).date().isoformat()
        counted = ("answered", "unanswered", "server_errors", "duration_us")
        rows = [
            {"deployment_id": deployment_id, "day": day, **dict(zip(counted, totals, strict=True))}
            for deployment_id, totals in minute.counted.items()
        ]
        if rows:
            statement = upsert(days)
            added = {name: days.c[name] + statement.excluded[name] for name in counted}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["deployment_id", "day"], set_=added), rows
            )

    def _tidy(self, newest: int) -> None:
        """What is due by now: pack hours that are over, thin out, forget what is too old or too much."""
        hour = newest // HOUR
        with self._engine.connect() as connection:
            oldest = connection.execute(select(func.min(minutes.c.minute))).scalar_one()
        if oldest is not None and oldest // HOUR < hour:
            self._pack(hour)
            self._thin_out(hour - FINE)
            self._forget(hour - KEPT)
            self._bound_days()
        self._bound()

    def _pack(self, before: int) -> None:
        """The minutes of all hours before this one."""
        is_due = minutes.c.minute < before * HOUR
        while True:
            with self._engine.begin() as connection:
                some = select(minutes.c.series).where(is_due).distinct().limit(_PACKED_AT_ONCE)
                numbers = connection.execute(some).scalars().all()
                if not numbers:
                    return
                is_theirs = minutes.c.series.in_(numbers) & is_due
                of_kinds = select(series.c.id, series.c.kind).where(series.c.id.in_(numbers))
                kinds = {row.id: row.kind for row in connection.execute(of_kinds)}
                parts: dict[tuple[int, int], list[Row]] = defaultdict(list)
                for row in connection.execute(select(minutes).where(is_theirs)):
                    parts[row.minute // HOUR, row.series] += unpack(row.data)
                packed = [
                    {
                        "hour": hour,
                        "series": number,
                        "kind": kinds[number],
                        "step": 1,
                        "first": hour * HOUR + min(minute for minute, _ in rows),
                        "data": pack(rows),
                    }
                    for (hour, number), rows in parts.items()
                ]
                connection.execute(insert(hours).prefix_with("OR REPLACE"), packed)
                connection.execute(delete(minutes).where(is_theirs))

    def _thin_out(self, before: int) -> None:
        """What single replicas did, in the hours before this one."""
        is_due = (hours.c.kind.in_((REPLICA, GPU))) & (hours.c.step == 1) & (hours.c.hour < before)
        with self._engine.begin() as connection:
            for row in connection.execute(select(hours).where(is_due)).all():
                coarse = pack(average_by(unpack(row.data), COARSE))
                place = (hours.c.hour == row.hour) & (hours.c.series == row.series)
                connection.execute(update(hours).where(place).values(step=COARSE, data=coarse))

    def _forget(self, before: int) -> None:
        """The hours before this one, and the series of which nothing is left."""
        with self._engine.begin() as connection:
            connection.execute(delete(hours).where(hours.c.hour < before))
            left = union(select(hours.c.series), select(minutes.c.series))
            connection.execute(delete(series).where(series.c.id.not_in(left)))
        self._ids.clear()

    def _bound_days(self) -> None:
        """The oldest days go, so that those of what was deleted long ago leave room for hours."""
        most = int(self._most_bytes * _OF_DAYS) // _DAY_BYTES
        with self._engine.begin() as connection:
            excess = connection.execute(select(func.count()).select_from(days)).scalar_one() - most
            if excess <= 0:
                return
            at = select(days.c.day).order_by(days.c.day).offset(excess - 1).limit(1)
            newest = connection.execute(at).scalar_one()
            connection.execute(delete(days).where(days.c.day <= newest))
        logger.info("the oldest days of requests are forgotten", until=newest)

    def _bound(self) -> None:
        while (used := self._used_bytes()) > self._most_bytes * _FULL:
            with self._engine.begin() as connection:
                oldest = connection.execute(select(func.min(hours.c.hour))).scalar_one()
                if oldest is None:
                    return
                connection.execute(delete(hours).where(hours.c.hour == oldest))
            logger.info("the oldest hour of points is forgotten", hour=oldest, used_bytes=used)
            with self._engine.connect() as connection:
                # Each page that it frees is a step of the statement.
                connection.connection.cursor().execute("PRAGMA incremental_vacuum").fetchall()

    def _used_bytes(self) -> int:
        """Of the file, without what is free in it."""
        with self._engine.connect() as connection:
            size, pages, free = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("page_size", "page_count", "freelist_count")
            )
        return size * (pages - free)

    def recorded_from(self) -> int | None:
        """The first minute of which there may be a point; None where there is none."""
        with self._engine.connect() as connection:
            oldest = select(func.min(hours.c.hour)).scalar_subquery()
            packed = connection.execute(
                select(func.min(hours.c.first)).where(hours.c.hour == oldest)
            ).scalar_one()
            loose = connection.execute(select(func.min(minutes.c.minute))).scalar_one()
        return min((first for first in (packed, loose) if first is not None), default=None)

    def points(
        self, kind: int, deployment_id: str, *, first: int, last: int, width: int | None = None
    ) -> list[Found]:
        """Of every series of this kind that the deployment has, from the minute `first` to `last`.

        width: how many of a point's values are wanted, the first ones; None for all.
        """
        with self._engine.connect() as connection:
            wanted = select(series).where(series.c.kind == kind, series.c.deployment_id == deployment_id)
            return [
                Found(row.kind, row.deployment_id, row.replica_id, row.gpu, points)
                for row in connection.execute(wanted.order_by(series.c.replica_id, series.c.gpu)).all()
                if (points := tuple(_points(connection, row.id, first, last, width)))
            ]

    def counted(self, *, first: int, last: int) -> list[int]:
        """The minutes in which requests were counted at all."""
        with self._engine.connect() as connection:
            numbers = connection.execute(select(series.c.id).where(series.c.kind == EDGE)).scalars().all()
            return [m for number in numbers for m, _, _ in _points(connection, number, first, last, 0)]

    def requests_by_day(self, deployment_id: str) -> list[tuple[str, float, float, float, float]]:
        """Day, answered, unanswered, server errors, microseconds of the answered; oldest first."""
        wanted = select(days).where(days.c.deployment_id == deployment_id).order_by(days.c.day)
        with self._engine.connect() as connection:
            return [tuple(row)[1:] for row in connection.execute(wanted)]


def _points(
    connection: Connection, number: int, first: int, last: int, width: int | None
) -> Iterator[tuple[int, int, tuple[float | None, ...]]]:
    packed = select(hours.c.hour, hours.c.step, hours.c.data).where(
        hours.c.series == number, hours.c.hour.between(first // HOUR, last // HOUR)
    )
    for hour, step, data in connection.execute(packed.order_by(hours.c.hour)):
        begin = hour * HOUR
        is_whole = first <= begin and begin + HOUR <= last
        for minute, values in unpack(data, width):
            if is_whole or first <= begin + minute <= last:
                yield begin + minute, step, values
    loose = select(minutes.c.minute, minutes.c.data).where(
        minutes.c.series == number, minutes.c.minute.between(first, last)
    )
    for at, data in connection.execute(loose.order_by(minutes.c.minute)):
        for _, values in unpack(data, width):
            yield at, 1, values


def _known(connection: Connection, keys: Collection[Key]) -> dict[Key, int]:
    """The numbers of those of the series that there are."""
    found: dict[Key, int] = {}
    names = sorted({deployment_id for _, deployment_id, _, _ in keys})
    for begin in range(0, len(names), _ASKED_AT_ONCE):
        some = names[begin : begin + _ASKED_AT_ONCE]
        is_theirs = series.c.kind.in_((EDGE, DEPLOYMENT, REPLICA, GPU)) & series.c.deployment_id.in_(some)
        for row in connection.execute(select(series).where(is_theirs)):
            found[row.kind, row.deployment_id, row.replica_id, row.gpu] = row.id
    return {key: found[key] for key in keys if key in found}


def _opened(path: Path) -> Engine:
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
