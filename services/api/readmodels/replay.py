"""Whether the read models are what a fresh replay of the log makes of them."""

import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Row, Table, select, tuple_

from libs.common.events.envelope import Recorded
from libs.common.log.timeline import Timeline
from services.api.readmodels.database import scratch_database
from services.api.readmodels.tables import COMPARED
from services.api.readmodels.writer import take_all_in

ROWS = 25
"""Of a table that are looked at together. A row may hold a whole spec."""


class Replay:
    """Read models made of the events that it is given, beside those that are shown: `with` it, in any thread.

    folder: where its file lies, which nobody else sees and which is gone when the process is. It grows as
    large as the read models.
    """

    def __init__(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".replay-") as own:
            # The open file goes on without a name.
            self._fresh = scratch_database(Path(own) / "read.db")
        self._timeline = Timeline()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fresh.dispose()

    def take(self, events: Sequence[Recorded]) -> None:
        """The next ones of the log."""
        take_all_in(self._fresh, events, log="", timeline=self._timeline)

    def pages(self, shown: Connection) -> Generator[str | None]:
        """What is shown otherwise than the replay makes it, as far as the next rows tell; None where they are
        equal. Each step compares a few rows."""
        with self._fresh.connect() as replayed:
            for table in COMPARED:
                yield from _pages(table, shown, replayed)


def _pages(table: Table, shown: Connection, replayed: Connection) -> Generator[str | None]:
    """Both sides in the order of their keys."""
    key = tuple(table.primary_key)
    first_page = page = select(table).order_by(*key).limit(ROWS)
    while True:
        ours = list(shown.execute(page).all())
        fresh = list(replayed.execute(page).all())
        yield _first_difference(table, ours, fresh) if ours != fresh else None
        if len(ours) < ROWS:
            return
        page = first_page.where(tuple_(*key) > _key_of(table, ours[-1]))


def _first_difference(table: Table, shown: list[Row[Any]], replayed: list[Row[Any]]) -> str:
    ours = {_key_of(table, row): row for row in shown}
    fresh = {_key_of(table, row): row for row in replayed}
    # Behind the end of the shorter page nothing is known of its side.
    first = min(at for at in ours.keys() | fresh.keys() if ours.get(at) != fresh.get(at))
    name = " ".join((table.name, *map(str, first)))
    if first not in fresh:
        return f"{name} is shown, and a replay does not make it"
    if first not in ours:
        return f"{name} is made by a replay, and not shown"
    pairs = zip(table.columns, ours[first], fresh[first], strict=True)
    columns = [column.name for column, a, b in pairs if a != b]
    return f"{name} differs from a replay in {', '.join(columns)}"


def _key_of(table: Table, row: Row[Any]) -> tuple[Any, ...]:
    return tuple(row._mapping[column] for column in table.primary_key)  # noqa: SLF001 - its name in the library
