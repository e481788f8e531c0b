"""How a change goes, replica by replica: redrawn in place on a terminal, a line for each change elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from libs.cli import show
from libs.cli.waiting import Line, Seen

_COLOURS = {
    "running": "green",
    "pending": "dim",
    "starting": "yellow",
    "unready": "yellow",
    "failed": "red",
    "stopping": "dim",
}


class Progress:
    """Shows each look that is given to it, until the block ends."""

    def __init__(self, console: Console, *, is_shown: bool) -> None:
        self._console = console
        self._is_shown = is_shown
        self._live = Live(console=console, auto_refresh=False) if is_shown and console.is_terminal else None
        self._told: dict[str, Line] = {}

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, seen: Seen) -> None:
        if self._live:
            heading = Text.assemble(
                (show.status(seen.deployment), "bold"), "  ", show.harmless(str(seen.deployment["name"]))
            )
            self._live.update(Group(heading, *map(describe, seen.lines)), refresh=True)
        elif self._is_shown:
            for line in seen.lines:
                if self._told.get(line.replica_id) != line:
                    self._told[line.replica_id] = line
                    self._console.print(describe(line), soft_wrap=True)


def describe(line: Line) -> Text:
    """One replica in one line."""
    return Text.assemble(
        ("  replica ", "dim"),
        line.replica_id[:12],
        ("  run ", "dim"),
        line.run_id[:8],
        "  ",
        (line.state, _COLOURS.get(line.state, "")),
        (f"  {show.harmless(line.message)}" if line.message else "", "dim"),
    )
