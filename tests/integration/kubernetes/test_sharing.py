"""One cluster for all who use it at the same time; it ends with the last of them, however that one ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from libs.common.cluster.local.shim import proc
from tests.support.kubelab.client import Client
from tests.support.kubelab.shared import ROOT
from tests.support.polling import waited_for

USER = """
import sys
from pathlib import Path
from tests.support.kubelab.shared import shared_cluster
with shared_cluster(Path(sys.argv[1])) as kubeconfig:
    print(kubeconfig, flush=True)
    sys.stdin.read()
"""

pytestmark = pytest.mark.usefixtures("kubernetes_program")


class User:
    """Another worker, as a process of its own."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", USER, directory],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kubeconfig(self) -> Path:
        assert self._process.stdout
        return Path(self._process.stdout.readline().strip())

    def end(self, number: int) -> None:
        self._process.send_signal(number)
        self._process.communicate()


def processes(directory: Path) -> list[int]:
    """Everything that runs this cluster."""
    named = str(directory).encode()
    return [pid for pid in proc.pids() if named in (line := command_line(pid)) and USER.encode() not in line]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_it_outlives_whoever_started_it_and_ends_with_the_last(tmp_path: Path):
    directory = tmp_path / "shared"
    users = [User(directory) for _ in range(2)]
    first, second = (user.kubeconfig() for user in users)
    assert first == second
    client = Client.of_kubeconfig(first)
    users[0].end(signal.SIGKILL)
    assert client.is_ready()
    assert processes(directory)
    users[1].end(signal.SIGKILL)
    client.close()
    waited_for(lambda: not processes(directory), because=lambda: f"still there: {processes(directory)}")


def test_it_leaves_nothing_behind_when_its_own_process_is_killed(tmp_path: Path):
    directory = tmp_path / "shared"
    user = User(directory)
    user.kubeconfig()
    serving = [pid for pid in processes(directory) if b"kubelab.shared" in command_line(pid)]
    assert len(serving) == 1
    subprocess.run(["kill", "-KILL", str(serving[0])], check=True)
    waited_for(lambda: not processes(directory), because=lambda: f"still there: {processes(directory)}")
    user.end(signal.SIGKILL)
