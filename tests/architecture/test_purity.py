"""Rules are pure: they take `now`, await nothing, log nothing and read no clock, file, socket or chance."""

import ast
import fnmatch

import pytest

from tests.architecture.sources import ROOT, imported_modules, name_of, parsed, python_files

PURE = (
    "libs/common/errors.py",
    "libs/common/machine_types.py",
    "libs/common/spec/*.py",
    "libs/common/events/*.py",
    "libs/common/state/*.py",
    "libs/common/log/wire.py",
    "libs/common/log/chain.py",
    "libs/common/log/head.py",
    "libs/common/log/sealing.py",
    "libs/common/log/permissions.py",
    "libs/common/cluster/addresses.py",
    "libs/common/cluster/counting.py",
    "libs/common/cluster/local/shim/back_off.py",
    "libs/common/cluster/local/shim/expand.py",
    "libs/supervisor/adoption.py",
    "libs/supervisor/backoff.py",
    "libs/supervisor/healing.py",
    "services/api/commands/decision.py",
    "services/api/commands/deployment.py",
    "services/api/commands/project.py",
    "services/api/activity.py",
    "services/api/health.py",
    "services/reconciler/plan.py",
    "services/health/damping.py",
    "services/health/probing.py",
    "services/health/schedule.py",
    "services/health/verdicts.py",
    "services/router/routing.py",
    "services/router/draining.py",
)
"""What decides. A new rule's module is added here in the change that brings it."""

IMPURE = (
    "asyncio",
    "faststream",
    "httpx",
    "libs.common.clock.monotonic",
    "libs.common.clock.utc_now",
    "libs.common.telemetry",
    "logging",
    "nats",
    "os",
    "random",
    "socket",
    "sqlalchemy",
    "structlog",
    "subprocess",
    "time",
)

ROWS = [
    pytest.param(path, id=name_of(path))
    for path in python_files("libs", "services")
    if any(fnmatch.fnmatch(name_of(path), pattern) for pattern in PURE)
]


@pytest.mark.parametrize("pattern", PURE)
def test_every_pattern_names_a_file(pattern):
    assert list(ROOT.glob(pattern)), f"{pattern} matches nothing: was it moved?"


@pytest.mark.parametrize("path", ROWS)
def test_a_rule_imports_nothing_that_acts(path):
    acting = {
        module
        for module in imported_modules(parsed(path))
        for impure in IMPURE
        if module == impure or module.startswith(f"{impure}.")
    }
    assert not acting


@pytest.mark.parametrize("path", ROWS)
def test_a_rule_awaits_nothing(path):
    waits = [
        node.lineno
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
    ]
    assert not waits
