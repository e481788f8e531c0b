"""House rules that no linter knows. Each test names every file that breaks its rule."""

import ast

from tests.architecture.sources import found_in, imported_modules, parsed, python_files

LONGEST = 350
"""Lines. One idea fits into 300; the rest is slack for one that is nearly split."""

VAGUE = {"utils", "util", "helpers", "helper", "manager", "core", "logic", "service", "misc"}

MAY_SLEEP = "tests/support/polling.py"
"""Everything else waits through it, with a deadline."""

SLEEPS = {"time.sleep", "asyncio.sleep", "sleep"}

BACK_OFF = "libs/common/back_off.py"
"""Everything else has a value of it."""

ADAPTERS = {
    "JetStreamLog",
    "JetStreamSamplePublisher",
    "JetStreamSampleReader",
    "LocalCluster",
    "MemoryLog",
    "MemoryCluster",
    "MemorySamples",
}

OURS = ("libs", "services", "tests", "benchmarks", "examples")


def lines_too_many(path):
    return max(0, len(path.read_text().splitlines()) - LONGEST)


def lines_of_calls(path, names):
    return [
        node.lineno
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names
    ]


def growing_pauses(path):
    """Lines that limit by `min` what grows by a factor or a power: a back-off of their own."""

    def grows(node):
        match node:
            case ast.BinOp(op=ast.Mult(), right=ast.Constant(value=float() | 2)):
                return True
            case ast.BinOp(op=ast.Mult(), left=ast.Constant(value=float() | 2)):
                return True
            case ast.BinOp(op=ast.Mult()):
                return any(isinstance(one, ast.Pow) for one in ast.walk(node))
        return False

    return [
        node.lineno
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "min"
        and any(grows(argument) for argument in node.args)
    ]


def test_a_file_holds_one_idea():
    assert found_in(python_files(*OURS), lines_too_many) == {}
    assert [path for path in python_files(*OURS) if path.stem in VAGUE] == []


def test_there_is_one_back_off():
    assert found_in(python_files("libs", "services"), growing_pauses).keys() == {BACK_OFF}


def test_no_test_sleeps():
    sleeping = found_in(python_files("tests"), lambda path: lines_of_calls(path, SLEEPS))
    assert sleeping.keys() == {MAY_SLEEP}


def test_nothing_of_our_own_is_mocked():
    def mocks(path):
        return {m for m in imported_modules(parsed(path)) if m.startswith("unittest.mock")}

    assert found_in(python_files("tests"), mocks) == {}


def test_only_app_builds_adapters():
    others = [path for path in python_files("services") if path.name != "app.py"]
    assert found_in(others, lambda path: lines_of_calls(path, ADAPTERS)) == {}
