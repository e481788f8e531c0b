"""The tables of docs/reference/security.md, as the tests that hold them to the code read them."""

import re
from collections.abc import Mapping, Sequence

from libs.supervisor.settings import ROOT

PAGE = ROOT / "docs" / "reference" / "security.md"

_NAME = re.compile(r"`([^`]+)`")


def table(heading: str) -> Mapping[str, Sequence[str]]:
    """The first table below a heading: by each name in a row's first cell, the other cells of that row.

    Raises ValueError where there is no such heading, or a name has two rows.
    """
    _, below = PAGE.read_text().split(f"# {heading}\n", 1)
    lines = below[below.index("\n|") :].strip().partition("\n\n")[0].splitlines()
    rows: dict[str, Sequence[str]] = {}
    for line in lines[2:]:
        first, *others = (cell.strip() for cell in line.strip("|").split("|"))
        for name in names(first):
            if name in rows:
                raise ValueError(f"{heading}: {name} has two rows")
            rows[name] = others
    return rows


def names(cell: str) -> list[str]:
    """What is written as code in it."""
    return _NAME.findall(cell)
