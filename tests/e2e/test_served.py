"""When `deploy` has ended, the endpoint leads to a replica: the next call is served."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.live_platform import LivePlatform, hello

TIMES = 5


@pytest.fixture
def busy_core() -> Iterator[None]:
    """Somebody else uses as much of a processor as he gets."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield
    other.kill()
    other.wait()


@pytest.fixture
def spec_file(tmp_path: Path) -> Callable[[str], str]:
    def write(name: str) -> str:
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(hello(name)))
        return str(path)

    return write


async def test_it_does_not_end_while_the_router_has_not_told_envoy(
    shared_platform: LivePlatform, spec_file: Callable[[str], str]
) -> None:
    shared_platform.send("router", signal.SIGSTOP)
    try:
        await shared_platform.deploy(hello("unrouted"))
        ended = await shared_platform.cli("deploy", "-f", spec_file("unrouted"), "--timeout", "1")
    finally:
        shared_platform.send("router", signal.SIGCONT)
    why = "There is no deployment at this address. (deployment_not_found)"
    assert ended.returncode == 1, ended.stdout
    assert f"its replicas are ready, but not served: {why}" in ended.stderr
    ended = await shared_platform.cli("deploy", "-f", spec_file("unrouted"))
    assert ended.returncode == 0, ended.stderr
    await shared_platform.healthy()


@pytest.mark.usefixtures("busy_core")
async def test_the_next_call_is_served_beside_a_busy_core(
    shared_platform: LivePlatform, spec_file: Callable[[str], str]
) -> None:
    for number in range(TIMES):
        ended = await shared_platform.cli("deploy", "-f", spec_file(f"served-{number}"), "--json")
        assert ended.returncode == 0, ended.stderr
        caller = shared_platform.caller(json.loads(ended.stdout)["deploymentId"])
        assert (await caller.once()).status_code == 200
