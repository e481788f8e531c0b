"""How things look: tables for people, JSON for scripts."""

import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

GAP = 2
NAME_CELLS = 24
"""As much of a name as a table shows on a terminal; all of it where the output is piped."""

console = Console(highlight=False, emoji=False)


def say(text: Text) -> None:
    """One line, never broken by us: a terminal wraps it so that it can be copied whole."""
    console.print(text, soft_wrap=True)


def as_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(_harmless_json(json.dumps(value, indent=2, ensure_ascii=False)))


def as_json_line(value: Any) -> None:
    print(_harmless_json(json.dumps(value, ensure_ascii=False)), flush=True)


_UNSEEN = re.compile("[\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]")
"""What tells a terminal to do something instead of showing it; a tab is left."""


def harmless(text: str, stream: TextIO | None = None) -> str:
    """What somebody else wrote, for a terminal: what would command it is spelled out. As it is in a pipe.

    stream: where it is going to; stdout by default.
    """
    if not (stream or sys.stdout).isatty():
        return text
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def _harmless_json(document: str) -> str:
    """JSON spells out some of it by itself; its own line ends stay, and what it means stays the same."""
    if not sys.stdout.isatty():
        return document
    return _UNSEEN.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", document)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str, optional: Collection[str] = ()
) -> None:
    """A plain table; `empty` is said where there are no rows.

    An optional column is left out where no row has a value for it, and, the last one first, where the
    terminal is too narrow; stderr names those then. Nothing is folded within a cell, so what is copied is
    whole.
    """
    filled = [dict(zip(columns, row, strict=True)) for row in rows]
    if not filled:
        say(Text(empty, "dim"))
        return
    width = console.width if console.is_terminal else None
    for line in layout(filled, optional=optional, width=width):
        say(line)
    if left_out := without_room(filled, optional=optional, width=width):
        print(f"left out, the terminal is too narrow: {', '.join(left_out)} (--json has it)", file=sys.stderr)


def layout(rows: Sequence[dict[str, Any]], *, optional: Collection[str], width: int | None) -> list[Text]:
    """The lines of a table, heading first. width: of the terminal in cells; None has room for all."""
    cells = _cells(rows, optional, width)
    sizes = {column: _size(column, shown) for column, shown in cells.items()}
    shown = [column for column in cells if column not in _without_room(cells, optional, width)]
    heading = _row([(column, sizes[column]) for column in shown])
    body = [_row([(cells[column][at], sizes[column]) for column in shown]) for at in range(len(rows))]
    return [Text(heading, "bold"), *map(Text, body)]


def without_room(
    rows: Sequence[dict[str, Any]], *, optional: Collection[str], width: int | None
) -> list[str]:
    """The optional columns that have values, and for which the terminal is too narrow."""
    return _without_room(_cells(rows, optional, width), optional, width)


def _cells(
    rows: Sequence[dict[str, Any]], optional: Collection[str], width: int | None
) -> dict[str, list[str]]:
    """What each column shows where there is room for it; none of an optional one without values."""
    cells = {
        column: [_cell(row[column]) for row in rows]
        for column in rows[0]
        if column not in optional or any(row[column] is not None for row in rows)
    }
    if width is not None and "NAME" in cells:
        cells["NAME"] = [shortened(cell, NAME_CELLS) for cell in cells["NAME"]]
    return cells


def _without_room(cells: dict[str, list[str]], optional: Collection[str], width: int | None) -> list[str]:
    left_out: list[str] = []
    taken = sum(_size(column, shown) + GAP for column, shown in cells.items()) - GAP
    for column in reversed(cells):
        if width is None or taken <= width:
            break
        if column in optional:
            taken -= _size(column, cells[column]) + GAP
            left_out.insert(0, column)
    return left_out


def _size(column: str, cells: Iterable[str]) -> int:
    return max(map(cell_len, (column, *cells)))


def _row(cells: Iterable[tuple[str, int]]) -> str:
    return (" " * GAP).join(set_cell_size(text, size) for text, size in cells).rstrip()


def shortened(text: str, cells: int) -> str:
    return text if cell_len(text) <= cells else f"{set_cell_size(text, cells - 1).rstrip()}…"


def fields(values: Iterable[tuple[str, Any]]) -> None:
    """One thing, a field a line."""
    filled = list(values)
    size = max(cell_len(name) for name, _ in filled)
    for name, value in filled:
        say(Text.assemble((name.ljust(size + GAP), "bold"), _cell(value)))


def changes(found: Sequence[dict[str, Any]]) -> None:
    """What differs between two specs: each place, with what was there and what is."""
    if not found:
        say(Text("no difference", "dim"))
    for change in found:
        say(Text(change["path"], "bold"))
        for sign, side, colour in (("-", "from", "red"), ("+", "to", "green")):
            if change[side] is not None:
                say(Text(f"  {sign} {_cell(change[side])}", colour))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return harmless(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def local_time(rfc3339: str | None) -> str | None:
    """A time of the API in the reader's own time zone, to the second."""
    if rfc3339 is None:
        return None
    return datetime.fromisoformat(rfc3339).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(start: str | None, end: str | None) -> str | None:
    """The time between two times of the API, such as `1.4 s`; None without one of them."""
    if start is None or end is None:
        return None
    return f"{(datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds():.1f} s"


def age(rfc3339: str, *, now: datetime) -> str:
    """How long ago a time of the API was, in its largest whole unit: `12s`, `3m`, `5h`, `40d`."""
    past = now - datetime.fromisoformat(rfc3339)
    for unit, letter in ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "m")):
        if past >= unit:
            return f"{past // unit}{letter}"
    return f"{max(0, past // timedelta(seconds=1))}s"


def complain(lines: Iterable[str]) -> None:
    """What went wrong, on stderr: the first line says that it is us who complain.

    It quotes spec files and what the api says, so a line is made harmless as a whole."""
    for number, line in enumerate(lines):
        shown = harmless(line, sys.stderr)
        print(f"specstream: {shown}" if number == 0 else shown, file=sys.stderr)


def status(deployment: dict[str, Any]) -> str:
    """The API's one word for a deployment; `-` for one that had no spec yet at a past instant."""
    return str(deployment.get("status") or "-")
