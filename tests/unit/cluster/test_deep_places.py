"""A process that works in a directory too deep to be named hinders nobody who looks through all processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.common.cluster.local.shim import proc
from libs.supervisor import replicas
from libs.supervisor.home import Home

DIG_AND_STAY = """
import os, sys
os.chdir(sys.argv[1])
for _ in range(50):
    os.mkdir("x" * 100)
    os.chdir("x" * 100)
held = os.open(".", os.O_RDONLY)
print("there", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[int]:
    """Its pid."""
    command = [sys.executable, "-c", DIG_AND_STAY, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"there\n"
        yield process.pid
        process.kill()


def test_who_still_works_in_a_home_is_found(deep: int, tmp_path: Path):
    home = Home(tmp_path / "home")
    home.replicas.mkdir(parents=True)
    with pytest.raises(OSError, match="too long"):
        Path(f"/proc/{deep}/cwd").readlink()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd=home.replicas) as left:
        assert replicas.left(home) == (left.pid,)


def test_who_holds_a_file_is_found(deep: int, tmp_path: Path):
    file = tmp_path / "lock"
    with file.open("w") as held, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=held) as holder:
        assert deep not in (found := proc.holders(str(file)))
        assert found == [holder.pid]
