"""The promises are numbered, and each is held by a test that says so."""

import re
from pathlib import Path

from tests.architecture.sources import ROOT

_PROMISES = ROOT / "docs" / "reference" / "promises.md"
_CITED = re.compile(r"\bpromises? (\d+)(?:(?:, | and )(\d+))*", re.IGNORECASE)
_MADE = re.compile(r"^(\d+)\. \*\*", re.MULTILINE)


def cited(*folders: str) -> dict[int, set[str]]:
    """By number: the files that name it."""
    found: dict[int, set[str]] = {}
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for match in _CITED.finditer(file.read_text()):
                for number in re.findall(r"\d+", match.group()):
                    found.setdefault(int(number), set()).add(str(file.relative_to(ROOT)))
    return found


def made() -> set[int]:
    return {int(number) for number in _MADE.findall(_PROMISES.read_text())}


def test_the_promises_are_numbered_without_a_gap():
    assert made() == set(range(1, len(made()) + 1))


def test_a_promise_that_is_cited_is_made():
    everywhere = cited("services", "libs", "tests", "benchmarks")
    assert {number: files for number, files in everywhere.items() if number not in made()} == {}


def test_every_promise_is_held_by_a_test_that_cites_it():
    here = str(Path(__file__).relative_to(ROOT))
    assert {number for number, files in cited("tests").items() if files - {here}} == made()
