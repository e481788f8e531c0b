from io import StringIO

import pytest
from rich.console import Console

from benchmarks.figure import AtLeast, AtLeastOfLimit, AtMost, Figure
from benchmarks.table import COLUMNS, make_markdown, make_table, row

SHARE = AtLeastOfLimit(0.7)

CELLS = [
    pytest.param(
        Figure("appends", 1200, "/s", 1600, "bare", SHARE),
        ("appends", "1,200", "/s", "1,600 bare", "0.75", ">= 0.7 of the limit", "met"),
        id="a share that is large enough is met",
    ),
    pytest.param(
        Figure("appends", 800, "/s", 1600, "bare", SHARE),
        ("appends", "800", "/s", "1,600 bare", "0.50", ">= 0.7 of the limit", "not met"),
        id="a share that is too small is not met",
    ),
    pytest.param(
        Figure("latency", 50, "ms", aim=AtMost(50)),
        ("latency", "50.0", "ms", "", "", "<= 50", "met"),
        id="a bound itself is met",
    ),
    pytest.param(
        Figure("latency", 50.1, "ms", aim=AtMost(50)),
        ("latency", "50.1", "ms", "", "", "<= 50", "not met"),
        id="above a bound is not met",
    ),
    pytest.param(
        Figure("replay", 3000, "/s", aim=AtLeast(3000)),
        ("replay", "3,000", "/s", "", "", ">= 3000", "met"),
        id="a least value itself is met",
    ),
    pytest.param(
        Figure("replay", 2999, "/s", aim=AtLeast(3000)),
        ("replay", "2,999", "/s", "", "", ">= 3000", "not met"),
        id="below a least value is not met",
    ),
    pytest.param(
        Figure("start", 0.123, "s", 0.1, "bare"),
        ("start", "0.12", "s", "0.10 bare", "1.23", "", ""),
        id="without an aim there is nothing to meet",
    ),
]


@pytest.mark.parametrize(("figure", "cells"), CELLS)
def test_a_figure_is_one_row(figure, cells):
    assert row(figure) == cells


def test_an_aim_that_is_a_share_needs_a_limit():
    with pytest.raises(ValueError, match="needs the limit"):
        row(Figure("appends", 800, "/s", aim=SHARE))


def test_the_table_shows_every_figure():
    shown = StringIO()
    Console(width=140, file=shown).print(make_table("Figures", [case.values[0] for case in CELLS]))
    title, _, head, *lines = shown.getvalue().splitlines()
    assert title.strip() == "Figures"
    assert [column for column in COLUMNS if column not in head] == []
    assert sum(line.count("met") for line in lines) == 6


def test_markdown_has_a_head_a_rule_and_a_line_for_each_figure():
    lines = make_markdown([case.values[0] for case in CELLS]).splitlines()
    assert len(lines) == 2 + len(CELLS)
    assert lines[1] == "| --- | ---: | --- | --- | ---: | --- | --- |"
    assert lines[3] == "| appends | 800 | /s | 1,600 bare | 0.50 | >= 0.7 of the limit | not met |"
