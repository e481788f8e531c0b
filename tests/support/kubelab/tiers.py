"""Which kinds of Kubernetes a run of the tests had, and why not the others: its last lines always say so.

Where the tests are quiet, as those of `make test` are, nothing shows what the header says.
"""

import os
from typing import Any

import pytest

from tests.support.kubelab import binary

KUBECONFIG = "SPECSTREAM_TEST_KUBECONFIG"

SIMULATED = "simulated nodes"
REAL = "real nodes"
GIVEN = "a given cluster"

NOT_ASKED_FOR = f"{binary.REAL_NODE}=1 asks for them, as root on Debian"
_UNUSED = "none of the tests needed it"
_MOST_WORDS = 50

_found = pytest.StashKey[dict[str, str]]()
"""Why there was none of a kind; empty of one that tests ran with."""


def note_use(config: pytest.Config, tier: str) -> None:
    config.stash[_found][tier] = ""


def note_lack(config: pytest.Config, tier: str, why: str) -> None:
    config.stash[_found].setdefault(tier, why)


def summary(found: dict[str, str]) -> str:
    """One line. found: why there was none of a kind, empty of one that tests ran with; none of it needed the
    kinds that it lacks."""
    tiers = [SIMULATED, REAL, *([GIVEN] if os.environ.get(KUBECONFIG) else [])]
    return "kubernetes: " + "; ".join(_told(tier, found.get(tier, _UNUSED)) for tier in tiers)


def _told(tier: str, why_not: str) -> str:
    return f"not with {tier}: {' '.join(why_not.split()[:_MOST_WORDS])}" if why_not else f"with {tier}"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_found] = {}


def pytest_report_header() -> list[str]:
    real = "asked for" if os.environ.get(binary.REAL_NODE) else f"none ({NOT_ASKED_FOR})"
    return [f"kubernetes: {_simulated()}", f"kubernetes, real nodes: {real}"]


def _simulated() -> str:
    if given := os.environ.get(KUBECONFIG):
        return f"kubeconfig ({given})"
    if lacking := binary.missing():
        return f"none ({lacking})"
    built = binary.path() if binary.path().exists() else "to be built first"
    return f"simulated nodes (Kubernetes {binary.VERSION}, {built})"


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["kubernetes"] = session.config.stash[_found]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of a run in parallel has ended."""
    for tier, why_not in getattr(node, "workeroutput", {}).get("kubernetes", {}).items():
        (note_lack(node.config, tier, why_not) if why_not else note_use(node.config, tier))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    terminalreporter.write_line(summary(config.stash[_found]))
