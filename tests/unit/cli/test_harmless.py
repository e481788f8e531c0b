"""What a replica wrote commands no terminal."""

import sys

import pytest

from libs.cli.show import harmless


@pytest.mark.parametrize(
    ("is_terminal", "shown"),
    [(True, r"a\x1b]0;b\x07	\u202ec"), (False, "a\x1b]0;b\x07\t\u202ec")],
    ids=["a terminal", "a pipe"],
)
def test_what_would_command_a_terminal_is_spelled_out_there(monkeypatch, is_terminal: bool, shown: str):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    assert harmless("a\x1b]0;b\x07\t\u202ec") == shown
