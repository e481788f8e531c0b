"""What a run of the tests says of the kinds of Kubernetes that it had, and of those that it lacked.

The run is one of two tests that need it, on a machine whose compiler fails.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.executables import an_executable
from tests.support.kubelab import binary
from tests.support.kubelab.fixtures import REQUIRED
from tests.support.kubelab.tiers import KUBECONFIG
from tests.support.platform_process import ROOT

FILES = "tests/integration/kubernetes"
ON_REAL_NODES = f"{FILES}/test_real_node.py::test_a_crash_loop"
ON_SIMULATED_NODES = f"{FILES}/test_sharing.py::test_it_outlives_whoever_started_it_and_ends_with_the_last"
ON_NONE = f"{FILES}/test_tiers.py::test_nothing_of_kubernetes_is_needed"


def test_nothing_of_kubernetes_is_needed(): ...


def ran(tmp_path: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """How a quiet run ended, and its line about Kubernetes."""
    programs = tmp_path / "bin"
    programs.mkdir()
    an_executable(programs / "go", "echo no such host", "exit 1")
    left_out = {binary.REAL_NODE, REQUIRED, KUBECONFIG, "PYTEST_ADDOPTS"}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in left_out and not name.startswith("PYTEST_XDIST")
    }
    own = {"PATH": f"{programs}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--basetemp={tmp_path / 'run'}", *arguments],
        cwd=ROOT,
        env={**inherited, **own, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("kubernetes: ")]
    return done.returncode, line


def test_a_run_that_needs_none_says_so(tmp_path):
    unused = "none of the tests needed it"
    assert ran(tmp_path, ON_NONE) == (
        0,
        f"kubernetes: not with simulated nodes: {unused}; not with real nodes: {unused}",
    )


def test_a_run_in_parallel_that_lacks_both_says_why(tmp_path):
    code, line = ran(tmp_path, "-n", "2", "--dist", "loadfile", ON_REAL_NODES, ON_SIMULATED_NODES)
    assert code == 0
    simulated, real = line.split("; ")
    assert simulated.startswith("kubernetes: not with simulated nodes: no Kubernetes: `go build` in ")
    assert simulated.endswith("failed: no such host")
    assert real == f"not with real nodes: {binary.REAL_NODE}=1 asks for them, as root on Debian"


@pytest.mark.parametrize(
    ("test", "name"), [(ON_SIMULATED_NODES, REQUIRED), (ON_REAL_NODES, binary.REAL_NODE)]
)
def test_a_run_fails_that_lacks_what_is_required(tmp_path, test, name):
    code, line = ran(tmp_path, test, **{name: "required"})
    assert code == 1
    assert "failed: no such host" in line
