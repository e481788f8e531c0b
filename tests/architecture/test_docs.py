"""The generated reference says what the code says, and people are sent to nothing that there is not."""

import re
from pathlib import Path

from typer.main import get_command

from docs.generate import PAGES, REFERENCE
from libs.cli.main import app

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(?:bin/)?specstream ([a-z][a-z-]*)|^(?:bin/)specstream ([a-z][a-z-]*)", re.MULTILINE)


def test_the_reference_is_up_to_date():
    outdated = [name for name, page in PAGES.items() if (REFERENCE / name).read_text() != page()]
    assert outdated == [], "run `make docs`"


def test_every_command_that_people_are_sent_to_is_there():
    named = {
        (next(filter(None, found)), str(path.relative_to(ROOT)))
        for folder, kinds in (
            ("docs", {".md"}),
            ("infra", {".yaml", ".json", ".py"}),
            ("examples", {".yaml"}),
        )
        for path in (ROOT / folder).rglob("*")
        if path.suffix in kinds
        for found in NAMED.findall(path.read_text())
    }
    known = get_command(app).list_commands(None)
    assert {command for command, _ in named} > {"explain", "deploy", "log"}, "nothing was read"
    assert [one for one in named if one[0] not in known] == []
