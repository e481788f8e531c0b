"""In which order tests run, and which of them stay together where several workers share them.

Whole platforms come first and unit tests last: the many short ones fill what the few long ones leave, so no
worker waits for the other at the end. All tests of the shared platform go to one worker, so that there is
one, and they are the last whole platforms, so that it ends when they are done. Files that need a Kubernetes
come last of all: where there is none yet, it is being built meanwhile, and nobody else has to wait for it.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDERS = ("e2e", "integration", "contract", "architecture", "unit", "soak", "support")
"""From the longest tests to the shortest."""

KUBERNETES_FIXTURES = (
    "kubernetes_program",
    "kubernetes_cluster",
    "simulated_cluster",
    "own_kubernetes",
    "real_node",
    "two_real_nodes",
)
"""Others rest on these, and these on a program that may have to be built first."""

TESTS = Path(__file__).resolve().parents[1]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    late = {item.path for item in items if needs_kubernetes(item)}

    def place(item: pytest.Item) -> tuple[bool, int, bool]:
        folder = FOLDERS.index(item.path.relative_to(TESTS).parts[0])
        return item.path in late, folder, _shares_platform(item.path)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - there is none without its plugin

    class OneSharedPlatform(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "the shared platform" if _shares_platform(TESTS.parent / file) else file

    config.option.loadscopereorder = False
    return OneSharedPlatform(config, log)


@cache
def _shares_platform(file: Path) -> bool:
    return "shared_platform" in file.read_text()


def needs_kubernetes(item: pytest.Item) -> bool:
    """By its fixtures, or as the one of several clusters for which it runs."""
    if not isinstance(item, pytest.Function):
        return False
    clusters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return "kubernetes" in clusters or any(name in KUBERNETES_FIXTURES for name in item.fixturenames)
