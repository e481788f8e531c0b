"""The program is built once for a user, whatever Go is told elsewhere, and by one process at a time.

A stand-in for Go takes the minutes out of it: it writes down how it was called, and makes a file.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.executables import an_executable
from tests.support.kubelab import binary
from tests.support.kubelab.shared import ROOT

MAKES_IT = (
    'echo "$@" >>"$CALLS"',
    'env >>"$CALLS.env"',
    'while [ "$1" != -o ]; do shift; done',
    'echo "made by $$" >"$2"',
)


class Machine:
    """A user's machine with a Go of our own."""

    def __init__(self, tmp_path: Path) -> None:
        self.cache = tmp_path / "cache"
        self.calls = tmp_path / "calls"
        self._bin = tmp_path / "bin"
        self._bin.mkdir()
        self.go(*MAKES_IT)

    def go(self, *lines: str) -> None:
        an_executable(self._bin / "go", *lines)

    def build(self, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", binary.__name__],
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if name != binary.REAL_NODE},
                "PATH": f"{self._bin}:{os.environ['PATH']}",
                "XDG_CACHE_HOME": str(self.cache),
                "CALLS": str(self.calls),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def builds(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0

    def programs(self) -> list[Path]:
        """What is kept, without the locks."""
        return [one for one in (self.cache / "specstream").glob("kubelab-*") if not one.suffix]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_is_built_once(machine: Machine):
    first = Path(machine.build().communicate()[0].strip())
    assert machine.programs() == [first]
    made = first.read_text()
    assert Path(machine.build().communicate()[0].strip()) == first
    assert first.read_text() == made
    assert machine.builds() == 1


def test_who_asks_for_real_nodes_gets_their_second_program_too(machine: Machine):
    said = machine.build(**{binary.REAL_NODE: "1"}).communicate()[0].split()
    assert sorted(machine.programs()) == sorted(map(Path, said))
    assert len(said) == machine.builds() == 2


def test_two_who_need_it_at_once_wait_for_one_build(machine: Machine):
    both = [machine.build() for _ in range(2)]
    assert len({process.communicate()[0] for process in both}) == 1
    assert machine.builds() == 1


def test_the_users_own_settings_of_go_do_not_reach_it(machine: Machine):
    machine.build(GOFLAGS="-mod=vendor", GOOS="plan9", GOWORK="/elsewhere", CGO_ENABLED="1").communicate()
    seen = dict(line.partition("=")[::2] for line in Path(f"{machine.calls}.env").read_text().splitlines())
    assert seen["GOFLAGS"] == "-mod=readonly"
    assert seen["GOWORK"] == "off"
    assert seen["CGO_ENABLED"] == "0"
    assert "GOOS" not in seen


def test_a_build_that_fails_says_why_and_leaves_nothing(machine: Machine):
    machine.go('echo "$@" >>"$CALLS"', "echo proxy.golang.org: no such host", "exit 1")
    process = machine.build()
    said = process.communicate()[1]
    assert process.returncode == 1
    assert "no such host" in said
    assert machine.programs() == []
    machine.go(*MAKES_IT)
    machine.build().communicate()
    assert len(machine.programs()) == 1


def test_the_inputs_make_the_name():
    assert binary.path().name == f"kubelab-{binary.key()}"
    assert len(binary.key()) == 64
