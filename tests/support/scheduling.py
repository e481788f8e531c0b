"""In which order tests run, and which of them stay together where several workers share them.

Whole platforms come first and unit tests last: the many short ones fill what the few long ones leave, so no
worker waits for the other at the end. All tests of the shared platform go to one worker, so that there is
one, and they are the last whole platforms, so that it ends when they are done. Files that need a Kubernetes
come after all others of platforms and of parts of them: where there is none yet, it is being built meanwhile.
They come before the short tests that only calculate, because they wait far more than they calculate.
Tests that need real nodes of one, or run on them once more, go to one worker too: a machine has only one set.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

LONG = ("e2e", "integration")

FOLDERS = (*LONG, "contract", "architecture", "unit", "soak", "support")
"""From the longest tests to the shortest."""

KUBERNETES_FIXTURES = (
    "kubernetes_program",
    "kubernetes_cluster",
    "simulated_cluster",
    "own_kubernetes",
    "real_node",
)
"""Others rest on these, and these on a program that may have to be built first."""

PODS = "pods"
"""In the id of a test that runs once more where replicas are pods."""

TESTS = Path(__file__).resolve().parents[1]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    late = {item.path for item in items if needs_kubernetes(item) and not _on_real_nodes(item.nodeid)}

    def place(item: pytest.Item) -> tuple[bool, bool, bool, int, bool]:
        folder = item.path.relative_to(TESTS).parts[0]
        on_real_nodes = _on_real_nodes(item.nodeid)
        is_late = on_real_nodes or item.path in late
        is_short = not is_late and folder not in LONG
        return is_short, is_late, not on_real_nodes, FOLDERS.index(folder), _shares_platform(item.path)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - there is none without its plugin

    class OneSharedPlatform(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if _on_real_nodes(nodeid):
                return "the real nodes"
            file = super()._split_scope(nodeid)
            return "the shared platform" if _shares_platform(TESTS.parent / file) else file

    config.option.loadscopereorder = False
    return OneSharedPlatform(config, log)


def _on_real_nodes(nodeid: str) -> bool:
    """As the one of several platforms for which it runs, or because all of its file does."""
    file, _, test = nodeid.partition("::")
    _, _, clusters = test.partition("[")
    return PODS in clusters.rstrip("]").split("-") or _has_only_real_nodes(TESTS.parent / file)


@cache
def _has_only_real_nodes(file: Path) -> bool:
    text = file.read_text()
    return "real_node" in text and "PODS" not in text


@cache
def _shares_platform(file: Path) -> bool:
    text = file.read_text()
    return "shared_platform" in text or "any_platform" in text


def needs_kubernetes(item: pytest.Item) -> bool:
    """By its fixtures, or as the one of several clusters for which it runs."""
    if not isinstance(item, pytest.Function):
        return False
    clusters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    named = {value for value in clusters if isinstance(value, str)} | set(item.fixturenames)
    return not named.isdisjoint(("kubernetes", PODS, *KUBERNETES_FIXTURES))
