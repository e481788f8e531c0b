"""What becomes of points with their age, and where there is no more room for them."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, union, update
from sqlalchemy.dialects.sqlite import insert as upsert

from services.api.points.merging import merged
from services.api.points.packing import Row, average_by, pack, unpack
from services.api.points.tables import GPU, REPLICA, days, hours, minutes, series

logger = structlog.get_logger()

HOUR: Final = 60
"""Minutes of an hour."""
KEPT: Final = 15 * 24 + 1
"""Hours: 15 days, also by a clock that is an hour ahead for a moment."""
FINE: Final = 24
"""Hours for which a replica has each of its minutes."""
COARSE: Final = 15
"""Minutes of a replica's points after that."""
_FORGOTTEN_AT_ONCE: Final = 2
"""Hours. One becomes too old in each hour, so a clock that is weeks ahead for a moment takes two, not all."""
_FULL: Final = 0.9
"""Of the room: the rest is for the write-ahead log, and for what is written until the next look."""
_OF_DAYS: Final = 0.25
"""Of the room, for the requests of days."""
_DAY_BYTES: Final = 200
"""That one deployment's day takes, with its place in the index."""
_DAY: Final = len("2026-11-23")
_MONTH: Final = len("2026-11")
_PACKED_AT_ONCE: Final = 500
"""Series in one transaction."""

COUNTED: Final = ("answered", "unanswered", "server_errors", "duration_us")
"""The columns of a day that are counts."""


def is_packed(connection: Connection, hour: int) -> bool:
    return connection.execute(select(hours.c.hour).where(hours.c.hour == hour).limit(1)).first() is not None


def pack_some(connection: Connection, is_due: ColumnElement[bool]) -> bool:
    """Those minutes that are due, of some series. Whether there were any. Hours that are packed already, as
    before the clock was set back, get them too."""
    some = select(minutes.c.series).where(is_due).distinct().limit(_PACKED_AT_ONCE)
    numbers = connection.execute(some).scalars().all()
    if not numbers:
        return False
    of_kinds = select(series.c.id, series.c.kind).where(series.c.id.in_(numbers))
    kinds = {row.id: row.kind for row in connection.execute(of_kinds)}
    is_theirs = minutes.c.series.in_(numbers) & is_due
    parts: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in connection.execute(select(minutes).where(is_theirs)):
        parts[row.minute // HOUR, row.series] += unpack(row.data)
    of_hours = hours.c.series.in_(numbers) & hours.c.hour.in_({hour for hour, _ in parts})
    there = {(row.hour, row.series): row for row in connection.execute(select(hours).where(of_hours))}
    packed = [_packed(*place, kinds[place[1]], rows, there.get(place)) for place, rows in parts.items()]
    connection.execute(insert(hours).prefix_with("OR REPLACE"), packed)
    connection.execute(delete(minutes).where(is_theirs))
    return True


def _packed(hour: int, number: int, kind: int, rows: list[Row], there: Any) -> dict[str, Any]:
    first, step = hour * HOUR + min(minute for minute, _ in rows), 1
    if there is not None:
        first, step = min(first, there.first), there.step
        rows = merged(kind, unpack(there.data), rows if step == 1 else average_by(sorted(rows), step))
    return {"hour": hour, "series": number, "kind": kind, "step": step, "first": first, "data": pack(rows)}


class Upkeep:
    """The file of the database is at most `_FULL` of `most_bytes` after each minute; the oldest goes."""

    def __init__(self, engine: Engine, *, most_bytes: int) -> None:
        self._engine = engine
        self._most_bytes = most_bytes

    def tidy(self, minute: int, *, now: int) -> bool:
        """What is due: pack the hours before that of `minute`, which was put, and where there is one, thin
        out and forget what is too old by `now`, also a minute. Whether series may be gone."""
        hour, present = minute // HOUR, now // HOUR
        with self._engine.connect() as connection:
            oldest = connection.execute(select(func.min(minutes.c.minute))).scalar_one()
        is_over = oldest is not None and oldest // HOUR < hour
        if is_over:
            self._pack(hour)
            self._thin_out(present - FINE)
            self._forget(present - KEPT)
            self._bound_days()
        self._bound()
        if is_over:
            self._shorten_log()
        return is_over

    def _pack(self, before: int) -> None:
        """The minutes of all hours before this one."""
        while True:
            with self._engine.begin() as connection:
                if not pack_some(connection, minutes.c.minute < before * HOUR):
                    return

    def _thin_out(self, before: int) -> None:
        """What single replicas did, in the hours before this one."""
        is_due = (hours.c.kind.in_((REPLICA, GPU))) & (hours.c.step == 1) & (hours.c.hour < before)
        with self._engine.begin() as connection:
            for row in connection.execute(select(hours).where(is_due)).all():
                coarse = pack(average_by(unpack(row.data), COARSE))
                place = (hours.c.hour == row.hour) & (hours.c.series == row.series)
                connection.execute(update(hours).where(place).values(step=COARSE, data=coarse))

    def _forget(self, before: int) -> None:
        """The oldest hours before this one, and the series of which nothing is left."""
        with self._engine.begin() as connection:
            old = select(hours.c.hour).where(hours.c.hour < before).distinct().order_by(hours.c.hour)
            gone = connection.execute(old.limit(_FORGOTTEN_AT_ONCE)).scalars().all()
            connection.execute(delete(hours).where(hours.c.hour.in_(gone)))
            left = union(select(hours.c.series), select(minutes.c.series))
            connection.execute(delete(series).where(series.c.id.not_in(left)))

    def _bound_days(self) -> None:
        """Where days take too much, those of the oldest month become one sum for each deployment. Where no
        other month has days, the oldest month goes."""
        most = int(self._most_bytes * _OF_DAYS) // _DAY_BYTES
        with self._engine.begin() as connection:
            while connection.execute(select(func.count()).select_from(days)).scalar_one() > most:
                month = func.substr(days.c.day, 1, _MONTH)
                first, newest = connection.execute(
                    select(func.min(month), func.max(month)).where(func.length(days.c.day) == _DAY)
                ).one()
                if first is not None and first < newest:
                    _add_up(connection, first)
                    logger.info("requests are kept by the month, and no longer by the day", month=first)
                    continue
                oldest = connection.execute(select(func.min(days.c.day))).scalar_one()
                connection.execute(delete(days).where(days.c.day == oldest))
                logger.info("the oldest requests are forgotten", of=oldest)

    def _bound(self) -> None:
        while (taken := self._bytes()) > self._most_bytes * _FULL:
            self._give_back()
            if self._bytes() < taken:
                continue
            with self._engine.begin() as connection:
                gone = _forget_oldest(connection)
            if gone is None:
                return
            logger.info("the oldest points are forgotten", since=gone, taken_bytes=taken)

    def _give_back(self) -> None:
        """What is free in the file."""
        with self._engine.connect() as connection:
            # Each page that it frees is a step of the statement.
            connection.connection.cursor().execute("PRAGMA incremental_vacuum").fetchall()

    def _shorten_log(self) -> None:
        """The write-ahead log has grown with what was packed. One that is being read is left as it is."""
        with self._engine.connect() as connection:
            connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _bytes(self) -> int:
        """Of the file."""
        with self._engine.connect() as connection:
            size, pages = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("page_size", "page_count")
            )
        return size * pages


def _add_up(connection: Connection, month: str) -> None:
    is_of_it = (func.length(days.c.day) == _DAY) & (func.substr(days.c.day, 1, _MONTH) == month)
    sums = select(days.c.deployment_id, *(func.sum(days.c[name]).label(name) for name in COUNTED))
    rows = [
        {**row, "day": month}
        for row in connection.execute(sums.where(is_of_it).group_by(days.c.deployment_id)).mappings()
    ]
    connection.execute(delete(days).where(is_of_it))
    add_days(connection, rows)


def add_days(connection: Connection, rows: Iterable[dict[str, Any]]) -> None:
    """Onto what there is of the same deployments and days, or months."""
    statement = upsert(days)
    added = {name: days.c[name] + statement.excluded[name] for name in COUNTED}
    if rows := list(rows):
        connection.execute(
            statement.on_conflict_do_update(index_elements=["deployment_id", "day"], set_=added), rows
        )


def _forget_oldest(connection: Connection) -> int | None:
    """The oldest packed hour, or else the oldest minute. With which minute it began; None: there is none."""
    hour = connection.execute(select(func.min(hours.c.hour))).scalar_one()
    if hour is not None:
        connection.execute(delete(hours).where(hours.c.hour == hour))
        return int(hour) * HOUR
    minute = connection.execute(select(func.min(minutes.c.minute))).scalar_one()
    if minute is not None:
        connection.execute(delete(minutes).where(minutes.c.minute == minute))
    return None if minute is None else int(minute)
