"""Rules are pure: they take `now`, await nothing, log nothing and read no clock, file, socket or chance.

A module that says of itself that it is pure is held to it, and so is every module whose functions it uses;
types and constants may come from anywhere. A folder says it of all its modules in `__init__.py`. Modules that
decide have to say it.
"""

import ast
import functools
import re

from tests.architecture.sources import ROOT, found_in, imported_modules, name_of, parsed, python_files

SAID = re.compile(r"\b(Pure( data)?[.:;]|is pure\b)")

IMPURE = (
    "asyncio",
    "faststream",
    "httpx",
    "libs.common.clock.monotonic",
    "libs.common.clock.utc_now",
    "libs.common.ids.new_id",
    "libs.common.telemetry",
    "logging",
    "nats.aio",
    "os",
    "random",
    "socket",
    "sqlalchemy",
    "structlog",
    "subprocess",
    "time",
)

HALF_PURE = frozenset({"libs/common/clock.py", "libs/common/ids.py"})
"""Each has functions that rules may use beside those that read the clock or chance, which `IMPURE` names."""

RULE_NAMES = re.compile(r"(decide|evolve)(_|$)")
WAITING = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith


def says_it_is_pure(path):
    said = ast.get_docstring(parsed(path)) or ""
    folder = ast.get_docstring(parsed(path.with_name("__init__.py"))) or ""
    return bool(SAID.search(said) or SAID.search(folder))


RULES = [path for path in python_files("libs", "services") if says_it_is_pure(path)]


def rules_unsaid(path):
    """Functions of the module that decide, where nothing says that it is pure."""
    if says_it_is_pure(path):
        return []
    functions = (node for node in parsed(path).body if isinstance(node, ast.FunctionDef))
    return [node.name for node in functions if RULE_NAMES.match(node.name)]


def is_acting(module):
    return any(module == impure or module.startswith(f"{impure}.") for impure in IMPURE)


@functools.cache
def used_modules(path):
    """The project's files whose functions this one uses."""
    attributes = (node for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute))
    used_of = {(node.value.id, node.attr) for node in attributes if isinstance(node.value, ast.Name)}
    files = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("libs", "services")):
            folder = ROOT / node.module.replace(".", "/")
            for alias in node.names:
                name = alias.asname or alias.name
                module = folder / f"{alias.name}.py"
                if module.exists():
                    files |= {module for owner, used in used_of if owner == name and used.islower()}
                elif alias.name.islower():
                    files.add(folder.with_suffix(".py"))
    return frozenset(file for file in files if file.exists() and name_of(file) not in HALF_PURE)


def made_of(path):
    """The file, and all of ours that its functions lead to."""
    known, waiting = set(), {path}
    while waiting:
        file = waiting.pop()
        known.add(file)
        waiting |= used_modules(file) - known
    return known


def acting_imports(path):
    """What acts, by the file that imports it."""
    found = {
        name_of(file): {module for module in imported_modules(parsed(file)) if is_acting(module)}
        for file in made_of(path)
    }
    return {file: modules for file, modules in found.items() if modules}


def lines_that_wait(path):
    return [node.lineno for node in ast.walk(parsed(path)) if isinstance(node, WAITING)]


def test_what_decides_says_that_it_is_pure():
    assert len(RULES) > 50
    assert found_in(python_files("libs", "services"), rules_unsaid) == {}


def test_the_rules_of_scaling_are_pure_all_together():
    assert set(python_files("libs/common/scaling")) <= set(RULES)


def test_a_rule_is_made_of_nothing_that_acts():
    assert found_in(RULES, acting_imports) == {}


def test_a_rule_awaits_nothing():
    assert found_in(RULES, lines_that_wait) == {}
