"""What a process says of itself is read with care: it may say anything, at any length."""

import os
import subprocess

import pytest

from libs.common.cluster.local.shim import proc
from libs.supervisor import processes
from libs.supervisor.home import Home
from tests.support.odd_environment import odd_environment


@pytest.mark.parametrize("mib", [pytest.param(0, id="without memory"), pytest.param(64, id="endless")])
def test_a_process_may_call_anything_its_environment(tmp_path, mib):
    with odd_environment(mib) as pid:
        assert len(proc.environment(pid) or b"") == min(mib * 1024 * 1024, proc.MOST_ENVIRONMENT_BYTES)
        assert proc.carried_id(pid) is None
        assert pid not in proc.carriers(["replica-of-this-test"])
        assert processes.living(Home(tmp_path)) == ()


def test_the_environment_of_what_is_gone():
    with subprocess.Popen(["true"]) as ended:
        pass
    assert proc.environment(ended.pid) is None
    assert proc.carried_id(ended.pid) is None


def test_a_variable():
    environment = b"A=1\0BA=2\0B=3=4\0B=5\0C=\0"
    found = {name: proc.variable(environment, name) for name in ("A", "B", "C", "D")}
    assert found == {"A": b"1", "B": b"3=4", "C": b"", "D": None}


def test_the_id_of_a_replica_is_found():
    environment = {**os.environ, proc.ID_VARIABLE: "replica-of-this-test"}
    pipe = subprocess.PIPE
    with subprocess.Popen(["cat"], env=environment, stdin=pipe, stdout=pipe) as carrier:
        assert carrier.stdin is not None
        assert carrier.stdout is not None
        # The kernel tells of its environment a moment after it has begun with its program.
        carrier.stdin.write(b"runs\n")
        carrier.stdin.flush()
        assert carrier.stdout.readline() == b"runs\n"
        assert proc.carried_id(carrier.pid) == "replica-of-this-test"
        assert carrier.pid in proc.carriers(["replica-of-this-test"])
