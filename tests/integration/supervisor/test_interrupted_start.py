"""A start that is cut short leaves nothing doubled and nothing behind."""

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from libs.supervisor import processes, shutdown
from libs.supervisor.home import Home
from libs.supervisor.programs import Program
from tests.support.platform_process import PROGRAMS
from tests.support.polling import PATIENCE_S, eventually

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


async def test_what_becomes_its_program_after_it_was_found_is_stopped_all_the_same(tmp_path: Path):
    home = Home(tmp_path / "home")
    home.create()
    process = processes.spawn(Program("nats", ("sleep", "1000"), {}), home, root=tmp_path)
    try:
        await eventually(lambda: [each.is_program for each in processes.living(home)] == [True])
        found = [replace(each, is_program=False, is_starting=True) for each in processes.living(home)]
        await shutdown.stop(tuple(found), home, grace_seconds=PATIENCE_S, hurry=asyncio.Event())
        assert processes.living(home) == ()
    finally:
        process.send(signal.SIGKILL)
        await process.ended()
        process.close()
