"""How a change goes, without a terminal: a line for each change of a replica."""

import io

from rich.console import Console

from libs.cli.progress import Progress
from libs.cli.waiting import Line, Seen

DEPLOYMENT = {"id": "d", "name": "hello", "status": "deploying"}


def replica(state, message=None):
    return Line("0123456789abcdef" * 2, "fedcba9876543210" * 2, state, message)


def shown(*looks, terminal=False, width=80):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, no_color=True, highlight=False)
    with Progress(console, is_shown=True) as progress:
        for lines in looks:
            progress.show(Seen(DEPLOYMENT, lines))
    return out.getvalue()


def test_a_change_is_one_whole_line():
    assert shown((replica("starting"),), (replica("starting"),), (replica("running"),)) == (
        "  replica 0123456789ab  run fedcba98  starting\n  replica 0123456789ab  run fedcba98  running\n"
    )


def test_a_reason_is_not_broken():
    assert "x" * 100 in shown((replica("failed", "x" * 100),))


def test_a_terminal_is_left_on_a_line_of_its_own():
    assert shown((replica("running"),), terminal=True).rstrip("\x1b[?25h").endswith("\n")


def test_a_narrow_terminal_wraps_the_reason():
    text = shown((replica("failed", "one two three four five six seven"),), terminal=True, width=60)
    assert "seven" in text


def test_json_shows_no_progress():
    out = io.StringIO()
    with Progress(Console(file=out), is_shown=False) as progress:
        progress.show(Seen(DEPLOYMENT, (replica("running"),)))
    assert out.getvalue() == ""
