"""House rules that no linter knows."""

import ast

import pytest

from tests.architecture.sources import imported_modules, name_of, parsed, python_files

LONGEST = 350
"""Lines. One idea fits into 300; the rest is slack for one that is nearly split."""

VAGUE = {"utils", "util", "helpers", "helper", "manager", "core", "logic", "service", "misc"}

MAY_SLEEP = {"tests/support/polling.py"}
"""Everything else waits through it, with a deadline."""


@pytest.mark.parametrize(
    "path", python_files("libs", "services", "tests", "benchmarks", "examples"), ids=name_of
)
def test_a_file_holds_one_idea(path):
    assert len(path.read_text().splitlines()) <= LONGEST
    assert path.stem not in VAGUE


@pytest.mark.parametrize("path", python_files("tests"), ids=name_of)
def test_no_test_sleeps(path):
    if name_of(path) in MAY_SLEEP:
        return
    sleeps = [
        node.lineno
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep", "sleep"}
    ]
    assert not sleeps


@pytest.mark.parametrize("path", python_files("tests"), ids=name_of)
def test_nothing_of_our_own_is_mocked(path):
    assert not {m for m in imported_modules(parsed(path)) if m.startswith("unittest.mock")}


@pytest.mark.parametrize("path", python_files("services"), ids=name_of)
def test_only_app_builds_adapters(path):
    if path.name == "app.py":
        return
    adapters = {"JetStreamLog", "LocalCluster", "MemoryLog", "MemoryCluster"}
    built = {
        node.func.id
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in adapters
    }
    assert not built
