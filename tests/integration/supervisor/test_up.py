"""What a home holds while it is up, and when `up` refuses."""

import asyncio
import os
import signal
import socket
import stat
import sys
from pathlib import Path

import pytest

from libs.common.cluster.local.shim import proc
from tests.support.open_to_others import open_to_others
from tests.support.platform_process import PROGRAMS
from tests.support.polling import eventually


async def test_a_home_tells_scripts_what_runs_where(lasting_platform):
    assert set(lasting_platform.ports()) == {"api", "edge", "nats"}
    assert lasting_platform.ports()["api"] == lasting_platform.api_port
    assert lasting_platform.ports()["edge"] == lasting_platform.edge_port
    for program in (*PROGRAMS, "supervisor"):
        os.kill(lasting_platform.pid(program), 0)
    for name in ("nats", "envoy"):
        executable = _executable(lasting_platform.pid(name))
        assert executable.startswith(name), f"the pid of {name} is that of {executable}"
    assert all((lasting_platform.home / "logs" / f"{program}.log").exists() for program in PROGRAMS)


def test_what_callers_wait_for_comes_first_where_sessions_share_the_processors(lasting_platform):
    """Otherwise each of hundreds of replicas would have as much as the api."""
    sharing = Path("/proc/sys/kernel/sched_autogroup_enabled")
    if not sharing.exists() or sharing.read_text().strip() != "1":
        pytest.skip("this kernel does not share processors among sessions")
    if os.geteuid() != 0:
        pytest.skip("only root may put a session first")
    shown = {
        program: Path(f"/proc/{lasting_platform.pid(program)}/autogroup").read_text().split()[-1]
        for program in ("api", "nats", "envoy", "health", "reconciler")
    }
    assert shown == {"api": "-10", "nats": "-10", "envoy": "-10", "health": "0", "reconciler": "0"}


async def test_secrets_are_for_their_owner_alone(lasting_platform):
    key = (lasting_platform.home / "api-key").read_text().strip()
    assert len(key) >= 32
    for path in (lasting_platform.home / "api-key", *(lasting_platform.home / "nats").glob("*.nk")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(lasting_platform.home.stat().st_mode) == 0o700
    assert not [pid for pid, arguments in _readable("cmdline") if key.encode() in arguments]
    knowing = [pid for pid, environment in _readable("environ") if key.encode() in environment]
    assert knowing == [str(lasting_platform.pid("api"))], "only the api is given the key"


async def test_a_home_that_others_could_read_is_closed_to_them(make_platform):
    platform = make_platform()
    (platform.home / "nats").mkdir(parents=True)
    (platform.home / "api").mkdir()
    (platform.home / "api" / "read.db").touch()
    for path in (platform.home, *platform.home.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    await platform.start_and_wait()
    assert open_to_others(platform.home) == {}


async def test_without_landlock_up_says_so(make_platform):
    platform = make_platform()
    platform.prefix = (sys.executable, "-m", "tests.support.without_landlock")
    await platform.start_until("ready in")
    assert "notice     replicas are not confined: this kernel has no Landlock" in platform.output


def _executable(pid):
    return Path(f"/proc/{pid}/exe").readlink().name


def _readable(name):
    """Of every process that there still is: its pid, and what is in its file of that name."""
    for path in Path("/proc").glob(f"[0-9]*/{name}"):
        try:
            with path.open("rb") as file:
                content = file.read(proc.MOST_ENVIRONMENT_BYTES)
        except OSError:
            continue
        yield path.parent.name, content


async def test_a_given_key_is_not_written_down(make_platform):
    platform = make_platform(SPECSTREAM_API_KEY="given-by-the-operator")
    await platform.start_and_wait()
    assert not (platform.home / "api-key").exists()
    knowing = [pid for pid, environment in _readable("environ") if b"given-by-the" in environment]
    assert str(platform.pid("api")) in knowing
    assert not {str(platform.pid(name)) for name in PROGRAMS if name != "api"} & set(knowing)


async def test_a_second_up_names_the_first(lasting_platform):
    refused = await lasting_platform.run("up")
    assert refused.returncode != 0
    assert str(lasting_platform.pid("supervisor")) in refused.stderr
    assert str(lasting_platform.home) in refused.stderr


async def test_two_homes_run_side_by_side(make_platform):
    one, other = make_platform("one"), make_platform("other")
    await asyncio.gather(one.start_and_wait(), other.start_and_wait())
    assert not set(one.ports().values()) & set(other.ports().values())
    assert (one.home / "api-key").read_text() != (other.home / "api-key").read_text()
    await one.stop()
    assert all(other.pids().values())


@pytest.mark.parametrize("variable", ["SPECSTREAM_API_PORT", "SPECSTREAM_EDGE_PORT"])
async def test_a_port_in_use_is_an_error_at_once(make_platform, variable):
    platform = make_platform()
    with socket.create_server(("127.0.0.1", int(platform.environment[variable]))):
        platform.start()
        assert await platform.wait() != 0
    assert variable in platform.output
    assert platform.environment[variable] in platform.output
    assert not platform.left()


async def test_wrong_settings_are_all_named(make_platform):
    platform = make_platform(SPECSTREAM_GRACE_SECONDS="never", SPECSTREAM_LOG_LEVEL="loud")
    platform.start()
    assert await platform.wait() != 0
    assert "SPECSTREAM_GRACE_SECONDS" in platform.output
    assert "SPECSTREAM_LOG_LEVEL" in platform.output
    platform.environment |= {"SPECSTREAM_GRACE_SECONDS": "5", "SPECSTREAM_LOG_LEVEL": "INFO"}


async def test_a_list_of_machine_types_that_cannot_be_used_stops_the_start(make_platform, tmp_path):
    types = tmp_path / "types.yaml"
    types.write_text("- name: small\n  cpus: none\n  memoryGib: 1\n")
    platform = make_platform(SPECSTREAM_MACHINE_TYPES=str(types))
    platform.start()
    assert await platform.wait() != 0
    assert f"SPECSTREAM_MACHINE_TYPES: {types} cannot be used" in platform.output
    assert "line 2: cpus: must be a number" in platform.output
    assert not platform.left()


async def test_ports_and_secrets_outlive_a_restart(lasting_platform):
    before = lasting_platform.ports(), (lasting_platform.home / "api-key").read_text()
    await lasting_platform.stop()
    await lasting_platform.start_and_wait()
    assert (lasting_platform.ports(), (lasting_platform.home / "api-key").read_text()) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_everything(platform, number):
    platform.send("supervisor", number)
    assert await platform.wait() == 0
    assert not platform.left()
    assert not list((platform.home / "run").glob("*.pid"))


async def test_a_second_signal_hurries(make_platform):
    platform = make_platform(SPECSTREAM_GRACE_SECONDS="600")
    await platform.start_and_wait()
    os.kill(platform.pid("router"), signal.SIGSTOP)
    platform.send("supervisor", signal.SIGINT)
    await eventually(lambda: "stopping" in platform.output)
    platform.send("supervisor", signal.SIGINT)
    assert await platform.wait() == 0
    assert not platform.left()
