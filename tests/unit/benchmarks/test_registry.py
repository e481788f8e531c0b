import inspect
import re
from pathlib import Path

import pytest

import benchmarks
from benchmarks.registry import BENCHMARKS, LONG, find

FOLDER = Path(benchmarks.__file__).parent
REFERENCE = FOLDER.parent / "docs" / "reference" / "benchmarks.md"


def test_every_module_that_measures_is_registered():
    measuring = {
        f"benchmarks.{path.stem}"
        for path in FOLDER.glob("*.py")
        if "\nasync def measure(" in path.read_text()
    }
    assert measuring == {*BENCHMARKS.values(), *LONG.values()}


def test_the_reference_says_of_each_what_it_measures():
    _, _, after = REFERENCE.read_text().partition("\n## What is measured\n")
    table, _, _ = after.partition("\n## ")
    rows = re.findall(r"^\| `([a-z_]+)` \| \S", table, re.MULTILINE)
    assert sorted(rows) == sorted([*BENCHMARKS, *LONG])


@pytest.mark.parametrize("name", [*BENCHMARKS, *LONG])
def test_a_benchmark_can_be_measured_quickly(name):
    measure = find(name)
    assert inspect.iscoroutinefunction(measure)
    assert inspect.signature(measure).parameters["quick"].default is False
