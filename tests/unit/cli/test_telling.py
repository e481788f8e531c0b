"""How far something long is, on a terminal and in a file."""

from io import StringIO

import pytest

from libs.cli.telling import Telling


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_written_over_and_gone_at_the_end() -> None:
    stream = Terminal()
    with Telling(stream) as say:
        for line in ("1 of 2", "1 of 2", "2 of 2"):
            say(line)
    assert stream.getvalue() == "\r\x1b[K1 of 2\r\x1b[K2 of 2\r\x1b[K"


@pytest.mark.parametrize(
    ("said_at", "told"),
    [
        pytest.param([0, 1, 2, 3], ["0", "2"], id="a line every two seconds"),
        pytest.param([], [], id="nothing to tell"),
    ],
)
def test_elsewhere_a_line_is_told_now_and_then(said_at: list[int], told: list[str]) -> None:
    stream, now = StringIO(), 0
    with Telling(stream, ticks=lambda: now) as say:
        for now in said_at:
            say(str(now))
    assert stream.getvalue().splitlines() == told
