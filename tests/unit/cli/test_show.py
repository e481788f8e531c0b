"""Tables fit the terminal, are whole in a pipe, and never break a cell."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from libs.cli import show

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
ID = "0123456789abcdef" * 2


def lines(rows, *, optional=(), width=None):
    return [line.plain for line in show.layout(rows, optional=optional, width=width)]


def test_columns_stand_under_their_headings():
    assert lines([{"ID": "a", "N": 1}, {"ID": "bbb", "N": None}]) == ["ID   N", "a    1", "bbb  -"]


def test_wide_letters_take_two_cells():
    assert lines([{"A": "🚀", "B": "x"}, {"A": "abc", "B": "y"}]) == ["A    B", "🚀   x", "abc  y"]


def test_what_looks_like_markup_is_text():
    assert lines([{"A": "[bold]x[/]"}]) == ["A", "[bold]x[/]"]


def test_a_value_that_is_no_text_is_shown_as_json():
    assert lines([{"A": ["x", None]}, {"A": True}])[1:] == ['["x", null]', "true"]


def test_an_optional_column_without_values_is_left_out():
    assert lines([{"A": 1, "ERROR": None}], optional={"ERROR"}) == ["A", "1"]


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        pytest.param(None, "A B C", id="a pipe has room for all"),
        pytest.param(34, "A B C", id="what just fits"),
        pytest.param(33, "A B", id="the last goes first"),
        pytest.param(5, "A", id="then the one before it; the others stay"),
    ],
)
def test_optional_columns_go_where_it_is_narrow(width, columns):
    row = {"A": "a" * 10, "B": "b" * 10, "C": "c" * 10}
    assert lines([row], optional={"B", "C"}, width=width)[0].split() == columns.split()


class Stream(StringIO):
    def __init__(self, *, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "width", "told"),
    [
        pytest.param(True, 34, "", id="a terminal with room"),
        pytest.param(True, 33, "left out, the terminal is too narrow: C (--json has it)\n", id="one"),
        pytest.param(True, 20, "left out, the terminal is too narrow: B, C (--json has it)\n", id="two"),
        pytest.param(False, 20, "", id="a pipe has room for all"),
    ],
)
def test_what_a_terminal_is_too_narrow_for_is_named_beside_the_table(
    monkeypatch, capsys, is_terminal, width, told
):
    """The column E has no value in any row: it is not missed."""
    out = Stream(is_terminal=is_terminal)
    monkeypatch.setattr(show, "console", Console(file=out, width=width, highlight=False))
    rows = [["a" * 10, "b" * 10, "c" * 10, None]] * 2
    show.table(("A", "B", "C", "E"), rows, empty="none", optional={"B", "C", "E"})
    assert capsys.readouterr().err == told
    assert "left out" not in out.getvalue()


def test_a_list_of_deployments_fits_80_columns():
    row = {"ID": ID, "NAME": "n" * 200, "STATUS": "deploying", "AGE": "365d", "ENDPOINT": "e" * 50}
    shown = lines([row], optional={"ENDPOINT"}, width=80)
    assert all(cell_len(line) <= 80 for line in shown)
    assert ID in shown[1]


def test_a_pipe_gets_whole_names():
    assert "n" * 200 in lines([{"NAME": "n" * 200}])[1]


@pytest.mark.parametrize(
    ("began", "expected"),
    [
        ("2026-01-31T12:00:00Z", "0s"),
        ("2026-01-31T12:00:05Z", "0s"),
        ("2026-01-31T11:59:01Z", "59s"),
        ("2026-01-31T11:59:00Z", "1m"),
        ("2026-01-31T11:00:00.000001Z", "59m"),
        ("2026-01-31T11:00:00Z", "1h"),
        ("2026-01-30T12:00:00Z", "1d"),
        ("2025-01-31T12:00:00Z", "365d"),
    ],
)
def test_an_age_is_in_its_largest_whole_unit(began, expected):
    assert show.age(began, now=NOW) == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:01.44Z", "1.4 s"),
        ("2026-01-31T12:00:00Z", None, None),
        (None, None, None),
    ],
)
def test_a_duration_needs_both_ends(start, end, expected):
    assert show.duration(start, end) == expected


def test_a_deployment_without_a_status_has_a_dash():
    assert show.status({"status": None}) == "-"
    assert show.status({"status": "degraded"}) == "degraded"


def test_changes_say_what_was_and_what_is(capsys):
    show.changes(
        [{"path": "env.A", "from": None, "to": "1"}, {"path": "command", "from": ["a"], "to": ["b"]}]
    )
    assert capsys.readouterr().out == 'env.A\n  + 1\ncommand\n  - ["a"]\n  + ["b"]\n'
