"""The database of points: written minute by minute, packed by the hour, bounded in age and in size."""

import threading
from collections.abc import Collection, Iterator
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select

from libs.common.clock import Clock, utc_now
from libs.common.metrics.port import Place
from services.api.points import tables
from services.api.points.merging import merged
from services.api.points.minutes import MINUTE_S, Minute
from services.api.points.opening import opened
from services.api.points.packing import pack, unpack
from services.api.points.places import Taken
from services.api.points.tables import DEPLOYMENT, EDGE, GPU, REPLICA, days, hours, minutes, position, series
from services.api.points.upkeep import COUNTED, HOUR, Upkeep, add_days, is_packed, pack_some

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
    """Blocking: call it in threads. Its file is at most 90 % of `most_bytes`; the oldest hour goes whole.

    clock: by which points age. The minutes that are put may come in any order.
    """

    def __init__(self, path: Path, *, most_bytes: int, clock: Clock = utc_now) -> None:
        self._engine = opened(path)
        self._upkeep = Upkeep(self._engine, most_bytes=most_bytes)
        self._clock = clock
        self._lock = threading.Lock()
        self._is_closed = False
        self._ids: dict[Key, int] = {}
        """The series of which there were points since the last full hour: of what exists, not of all that
        there was in the days that are kept."""

    def close(self) -> None:
        """What is being put is awaited; whatever thread comes after it puts nothing."""
        with self._lock:
            self._is_closed = True
            self._engine.dispose()

    def last_minute(self) -> int | None:
        """The one that was put last."""
        with self._engine.connect() as connection:
            return connection.execute(select(position.c.minute)).scalar_one_or_none()

    def taken(self) -> Taken | None:
        """How far METRICS is in minutes that were put."""
        with self._engine.connect() as connection:
            row = connection.execute(select(tables.taken)).one_or_none()
        return None if row is None else Taken(Place(row.stream, row.sequence), row.behind)

    def put(self, minute: Minute) -> None:
        """All of it or nothing. What was taken in before changes nothing; another account of a minute that
        there is, as after the clock was set back, is added to it."""
        with self._lock:
            if self._is_closed:
                return
            present, new = self.taken(), minute.taken
            if present is not None and new is not None and present.has(new.last.stream, new.last.sequence):
                return
            try:
                with self._engine.begin() as connection:
                    self._put(connection, minute)
            except BaseException:
                self._ids.clear()
                raise
            if self._upkeep.tidy(minute.number, now=int(self._clock().timestamp()) // MINUTE_S):
                self._ids.clear()

    def _put(self, connection: Connection, minute: Minute) -> None:
        rows = list(self._rows(connection, minute))
        if rows:
            connection.execute(insert(minutes).prefix_with("OR REPLACE"), rows)
        if is_packed(connection, minute.number // HOUR):
            # The clock was set back. No hour has both, so that whoever reads finds a minute in one place.
            while pack_some(connection, minutes.c.minute == minute.number):
                pass
        self._put_day(connection, minute)
        connection.execute(insert(position).prefix_with("OR REPLACE"), {"id": 1, "minute": minute.number})
        if minute.taken is not None:
            last = minute.taken.last
            place = {"stream": last.stream, "sequence": last.sequence, "behind": minute.taken.behind}
            connection.execute(insert(tables.taken).prefix_with("OR REPLACE"), {"id": 1, **place})

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
        of_it = select(minutes.c.series, minutes.c.data).where(minutes.c.minute == minute.number)
        there = {row.series: row.data for row in connection.execute(of_it)}
        for key, values in points.items():
            rows = [(minute.number % HOUR, values)]
            if (before := there.get(ids[key])) is not None:
                rows = merged(key[0], unpack(before), rows)
            yield {"series": ids[key], "minute": minute.number, "data": pack(rows)}

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
        day = datetime.fromtimestamp(minute.number * MINUTE_S, UTC).date().isoformat()
        add_days(
            connection,
            (
                {"deployment_id": deployment_id, "day": day, **dict(zip(COUNTED, totals, strict=True))}
                for deployment_id, totals in minute.counted.items()
            ),
        )

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
        """Day, answered, unanswered, server errors, microseconds of the answered; oldest first. A month in
        the place of its days, such as `2026-11`, where there is no room for those."""
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
