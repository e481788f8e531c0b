"""A start that is cut short leaves nothing doubled and nothing behind."""

import signal

import pytest

from libs.supervisor import processes
from libs.supervisor.home import Home
from tests.support.platform_process import PROGRAMS
from tests.support.polling import eventually

POINTS = ["started nats", "started envoy", "started provision", "started api", "started router"]


@pytest.mark.parametrize("point", POINTS)
async def test_a_supervisor_killed_while_starting_is_taken_up_by_the_next(make_platform, point):
    platform = make_platform()
    await platform.start_until(point)
    platform.send("supervisor")
    await platform.start_and_wait()

    def running() -> list[str]:
        return sorted(process.name for process in processes.living(Home(platform.home)) if process.is_program)

    await eventually(lambda: running() == sorted(PROGRAMS), because=f"not each program once: {running()}")
    assert len(set(platform.pids().values())) == len(PROGRAMS)


@pytest.mark.parametrize("point", POINTS)
async def test_a_start_can_be_stopped_at_any_point(make_platform, point):
    platform = make_platform()
    await platform.start_until(point)
    platform.send("supervisor", signal.SIGTERM)
    assert await platform.wait() == 0
    assert not platform.left()
