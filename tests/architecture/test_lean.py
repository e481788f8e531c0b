"""What a process imports before it does anything: each library costs it CPU and memory at every start.

On the local cluster, with nothing sent anywhere, which is what most platforms are.
"""

import json
import subprocess
import sys
from collections.abc import Iterable

import pytest

from libs.common.left_out import LEFT_OUT

OF_ONE = {
    "sqlalchemy": "api",
    "greenlet": "api",
    "fastapi": "api",
    "uvicorn": "api",
    "grpc": "router",
    "envoy": "router",
}
"""What one service needs, and no other."""

NEVER = {
    *(set(LEFT_OUT) - OF_ONE.keys()),
    "kubernetes",
    "opentelemetry.exporter",
    "opentelemetry.sdk.metrics",
    "prometheus_client",
    "typer",
    "pytest",
}
"""What is used only where settings ask for it, or only by other programs."""

REPORT = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    print(json.dumps([name, sorted(name for name, module in sys.modules.items() if module is not None)]))
"""


def imported(*modules: str) -> dict[str, set[str]]:
    """By each of the modules, what the process has imported once it is there too."""
    output = subprocess.check_output([sys.executable, "-c", REPORT, *modules], text=True)
    return {name: set(loaded) for name, loaded in map(json.loads, output.splitlines())}


def within(loaded: Iterable[str], unwanted: Iterable[str]) -> set[str]:
    return {one for one in unwanted if any(name == one or name.startswith(f"{one}.") for name in loaded)}


def test_no_service_imports_what_it_does_not_use():
    order = ("reconciler", "health", "autoscaler", "router", "api")
    loaded = imported(*(f"services.{name}.__main__" for name in order))
    for at, name in enumerate(order):
        there = loaded[f"services.{name}.__main__"]
        assert within(there, NEVER) == set(), name
        of_others = {module for module, owner in OF_ONE.items() if owner not in order[: at + 1]}
        assert within(there, of_others) == set(), name


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("libs.common.log.__main__", {*NEVER, *OF_ONE, "faststream"}),
        ("libs.supervisor.commands", {*NEVER, "faststream", "nats", "structlog", "httpx"}),
        ("libs.supervisor.ending", {*NEVER, "faststream", "nats", "structlog", "httpx", "pydantic"}),
        ("libs.cli.main", {"faststream", "nats", "structlog", "pydantic", "libs.supervisor.commands"}),
    ],
)
def test_nor_does_a_program_beside_them(module, unwanted):
    assert within(imported(module)[module], unwanted) == set()


def test_what_was_left_out_is_there_for_the_cluster_that_uses_it():
    code = (
        "import libs.common.lean, nats.aio.transport\n"
        "assert nats.aio.transport.aiohttp is None\n"
        "libs.common.left_out.found('aiohttp')\n"
        "import libs.common.cluster.kubernetes.cluster, aiohttp\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


GARBAGE = """
import asyncio, gc, sys, uvloop
import services.health.__main__ as program
assert not gc.isenabled()
from libs.common.bus.connection import connected
async def joined():
    try:
        async with connected(program.Settings(nats_url="nats://127.0.0.1:1"), service="health"):
            pass
    finally:
        sys.exit(0 if gc.isenabled() and gc.get_freeze_count() > 10_000 else 3)
async def main():
    await asyncio.wait_for(joined(), 0.2)
uvloop.run(main())
"""


def test_garbage_is_looked_for_from_when_a_process_joins_the_platform():
    subprocess.run([sys.executable, "-c", GARBAGE], check=True)
