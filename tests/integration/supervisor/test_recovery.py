"""What is killed comes back; what was not killed goes on."""

import os
import signal

import pytest

from tests.support.platform_process import PROGRAMS
from tests.support.polling import eventually


async def test_a_new_supervisor_adopts_what_lives(lasting_platform):
    before = lasting_platform.pids()
    assert all(before.values())
    lasting_platform.send("supervisor")
    await lasting_platform.start_and_wait()
    assert lasting_platform.pids() == before


async def test_pid_files_are_not_needed_for_that(lasting_platform):
    before = lasting_platform.pids()
    lasting_platform.send("supervisor")
    for program in PROGRAMS:
        (lasting_platform.home / "run" / f"{program}.pid").unlink()
    await lasting_platform.start_and_wait()
    assert lasting_platform.pids() == before


async def test_a_pid_file_of_a_stranger_is_not_believed(lasting_platform):
    lasting_platform.send("supervisor")
    lasting_platform.send("router")
    (lasting_platform.home / "run" / "router.pid").write_text(f"{os.getpid()}\n")
    await lasting_platform.start_and_wait()
    await eventually(lambda: lasting_platform.pid("router"))
    assert lasting_platform.pid("router") != os.getpid()


@pytest.mark.parametrize("program", PROGRAMS)
async def test_what_dies_is_started_again_alone(lasting_platform, program):
    before = lasting_platform.pids()
    lasting_platform.send(program)
    await eventually(lambda: lasting_platform.pid(program) not in {None, before[program]})
    after = lasting_platform.pids()
    assert {name: pid for name, pid in after.items() if name != program} == {
        name: pid for name, pid in before.items() if name != program
    }
    assert f"{program} (pid {before[program]}) ended" in lasting_platform.output


async def test_an_adopted_program_is_started_again_too(lasting_platform):
    lasting_platform.send("supervisor")
    await lasting_platform.start_and_wait()
    before = lasting_platform.pid("autoscaler")
    lasting_platform.send("autoscaler")
    await eventually(lambda: lasting_platform.pid("autoscaler") not in {None, before})


async def test_after_the_death_of_everything_it_comes_back(lasting_platform):
    before = lasting_platform.ports()
    for program in ("supervisor", *PROGRAMS):
        lasting_platform.send(program)
    await lasting_platform.start_and_wait()
    assert lasting_platform.ports() == before


async def test_a_changed_setting_restarts_only_whom_it_concerns(platform):
    before = platform.pids()
    platform.send("supervisor")
    platform.environment["SPECSTREAM_API_KEY"] = "another"
    await platform.start_and_wait()
    after = platform.pids()
    assert [name for name in PROGRAMS if after[name] != before[name]] == ["api"]


async def test_what_keeps_dying_is_given_time(make_platform):
    platform = make_platform()
    platform.environment["SPECSTREAM_MODULE_AUTOSCALER"] = "tests.support.no_such_module"
    await platform.start_and_wait()
    await eventually(lambda: "starting autoscaler again in 0.8 s" in platform.output)
    assert (
        "No module named tests.support.no_such_module"
        in (platform.home / "logs" / "autoscaler.log").read_text()
    )


async def test_down_stops_a_platform_whose_supervisor_is_dead(platform):
    platform.send("supervisor")
    platform.send("health")
    stopped = await platform.run("down")
    assert stopped.returncode == 0
    assert not platform.left()


async def test_down_ends_what_does_not_listen(make_platform):
    platform = make_platform(SPECSTREAM_GRACE_SECONDS="0.2")
    await platform.start_and_wait()
    os.kill(platform.pid("reconciler"), signal.SIGSTOP)
    stopped = await platform.run("down")
    assert stopped.returncode == 0
    assert await platform.wait() == 0
    assert not platform.left()


async def test_down_with_nothing_running_says_so(make_platform):
    platform = make_platform()
    for _ in range(2):
        stopped = await platform.run("down")
        assert (stopped.returncode, "nothing is running" in stopped.stdout) == (0, True)
    assert not platform.home.exists()
