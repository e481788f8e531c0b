"""What a replica wrote commands no terminal."""

import json
import sys

import pytest

from libs.cli import show
from libs.cli.show import harmless


@pytest.mark.parametrize(
    ("is_terminal", "shown"),
    [(True, r"a\x1b]0;b\x07	\u202ec"), (False, "a\x1b]0;b\x07\t\u202ec")],
    ids=["a terminal", "a pipe"],
)
def test_what_would_command_a_terminal_is_spelled_out_there(monkeypatch, is_terminal: bool, shown: str):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    assert harmless("a\x1b]0;b\x07\t\u202ec") == shown


@pytest.mark.parametrize("name", ["a\u202eb", "a\x9b2Jb"])
def test_a_name_in_a_table_turns_no_line_around(monkeypatch, name: str):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    lines = show.layout([{"NAME": name}], optional=(), width=80)
    assert lines[1].plain == ascii(name)[1:-1]


def test_json_on_a_terminal_means_the_same_and_commands_nothing(monkeypatch, capsys):
    said = {"name": "é\x9b2J\u202e\x1b[H\n"}
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show.as_json(said)
    shown = capsys.readouterr().out
    assert json.loads(shown) == said
    assert "é" in shown
    assert not {"\x9b", "\u202e", "\x1b"} & set(shown)


def test_a_complaint_is_harmless_where_stderr_is_the_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show.complain(["spec.\x1b[2J: is not a known field", "  and \x07"])
    assert capsys.readouterr().err == "specstream: spec.\\x1b[2J: is not a known field\n  and \\x07\n"
