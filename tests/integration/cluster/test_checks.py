"""A command that checks a replica: it runs as the replica does, and what it does besides harms nobody."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from libs.common.cluster.local.shim import files, landlock, proc
from libs.common.cluster.local.shim.checks import MOST, ORDER, OUTPUT_LIMIT
from libs.common.cluster.port import Checked, ObservedReplica
from libs.common.errors import DeploymentUnavailable
from tests.support.clusters import DEPLOYMENT, LocalWorld, all_run, run_of, template, workload
from tests.support.polling import eventually
from tests.support.processes import kill, main_pid, parent

LONG_S = 60
SLEEPER = template("sh", "-c", "echo of the replica > /dev/shm/shared; exec sleep 1000", MODE="prod")


async def started(world: LocalWorld) -> ObservedReplica:
    """It sleeps by now, and has written what it had to write before."""
    await world.cluster.apply(workload(run_of(1, of=SLEEPER)), fence=1)
    (replica,) = await world.until(all_run(1))
    pid = await main_pid(replica.replica_id)
    await eventually(lambda: pid in _named(b"sleep\x001000\x00"))
    return replica


async def check(
    world: LocalWorld, replica: ObservedReplica, *command: str, timeout_s: float = LONG_S
) -> Checked:
    return await world.cluster.run_check(
        DEPLOYMENT, replica.replica_id, attempt=replica.attempt, command=command, timeout_s=timeout_s
    )


async def sh(
    world: LocalWorld, replica: ObservedReplica, script: str, *, timeout_s: float = LONG_S
) -> Checked:
    return await check(world, replica, "sh", "-c", script, timeout_s=timeout_s)


def directory(world: LocalWorld, replica: ObservedReplica) -> Path:
    return world.root / "deployments" / DEPLOYMENT / replica.replica_id


def processes_of(replica: ObservedReplica) -> list[int]:
    return proc.carriers([replica.replica_id])


def commands_of(replica: ObservedReplica) -> list[int]:
    """The replica's own and those of its checks, without the checkers that have joined its mounts."""
    return [pid for pid in processes_of(replica) if proc.carries(pid, replica.replica_id)]


async def only_the_replica_is_left(replica: ObservedReplica) -> None:
    await eventually(lambda: len(processes_of(replica)) == 1, because="something of the check is left")


# As the replica runs.


async def test_it_has_the_replicas_environment_directory_and_shared_memory_and_nothing_else(local_world):
    replica = await started(local_world)
    checked = await sh(local_world, replica, "pwd; cat /dev/shm/shared; env | sort; ls /proc/self/fd; wc -c")
    cwd, shared, *rest = checked.output.splitlines()
    assert cwd == str(directory(local_world, replica) / files.CWD)
    assert shared == "of the replica"
    given = dict(line.split("=", 1) for line in rest if "=" in line)
    del given["PWD"]  # the shell's own
    assert given == {
        "MODE": "prod",
        "PORT": str(replica.ports[8000]),
        "HOME": cwd,
        "TMPDIR": given["TMPDIR"],
        "PATH": given["PATH"],
        "SPECSTREAM_DEPLOYMENT_ID": DEPLOYMENT,
        "SPECSTREAM_RUN_ID": "run",
        "SPECSTREAM_REPLICA_ID": replica.replica_id,
    }
    # The three usual descriptors, and the one with which `ls` reads the directory; an empty input.
    assert rest[-5:] == ["0", "1", "2", "3", "0"]
    assert checked.status == 0


async def test_variables_in_its_command_are_the_replicas(local_world):
    replica = await started(local_world)
    checked = await check(local_world, replica, "echo", "$(MODE)", "$(PORT)", "$$(MODE)", "$(NONE)")
    assert checked.output == f"prod {replica.ports[8000]} $(MODE) $(NONE)\n"


async def test_it_is_in_the_replicas_own_namespaces_and_no_privilege_is_left(local_world):
    replica = await started(local_world)
    pid = await main_pid(replica.replica_id)
    shown = "readlink /proc/self/ns/mnt /proc/self/ns/ipc; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status"
    checked = await sh(local_world, replica, shown)
    assert checked.output.splitlines() == [
        *_namespaces(pid),
        *(line for line in _status(pid) if line.startswith(("Cap", "NoNew", "Seccomp:"))),
    ]


async def test_a_replica_that_its_shim_has_left_is_checked_by_the_next_one(local_world):
    replica = await started(local_world)
    shim = parent(await main_pid(replica.replica_id))
    assert shim is not None
    kill(shim)
    await eventually(lambda: not files.is_supervised(str(directory(local_world, replica))))
    with pytest.raises(DeploymentUnavailable, match="nothing looks after"):
        await check(local_world, replica, "true")
    await local_world.until(lambda _: files.is_supervised(str(directory(local_world, replica))))
    checked = await sh(local_world, replica, "cat /dev/shm/shared")
    assert checked == Checked(status=0, output="of the replica\n")


async def test_checks_change_nothing_that_an_observer_sees(local_world):
    replica = await started(local_world)
    await check(local_world, replica, "true")
    before = directory(local_world, replica).stat().st_mtime_ns
    for _ in range(3):
        await check(local_world, replica, "true")
    assert directory(local_world, replica).stat().st_mtime_ns == before
    assert await local_world.until(all_run(1)) == (replica,)
    assert list((directory(local_world, replica) / files.CHECKS).iterdir()) == []


# What it does besides.


async def test_one_that_forks_away_is_ended_with_the_check(local_world):
    replica = await started(local_world)
    away = "(setsid sh -c 'sleep 1000 & trap \"\" TERM; sleep 1001' >/dev/null 2>&1 &) ; exit 0"
    assert (await sh(local_world, replica, away)).status == 0
    await only_the_replica_is_left(replica)


async def test_one_that_takes_its_marks_off_and_forks_away_is_ended_with_the_check(local_world):
    replica = await started(local_world)
    hide = "import os, time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
    hide += "os.closerange(0, 100); os.chdir('/')\n"
    hide += "os.execve('/bin/sleep', ['hidden', '1234'], {})"
    checked = await check(local_world, replica, sys.executable, "-c", hide)
    assert checked.status == 0
    await only_the_replica_is_left(replica)
    await eventually(lambda: not _named(b"hidden\x001234\x00"))


async def test_one_that_goes_on_forking_ends_with_the_replica_at_the_latest(local_world):
    replica = await started(local_world)
    chain = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); (setsid sleep 1000 &); done; exit 0"
    assert (await sh(local_world, replica, chain)).status == 0
    await only_the_replica_is_left(replica)


async def test_one_that_never_ends_and_hears_no_signal_is_killed_with_its_group(local_world):
    replica = await started(local_world)
    stubborn = "trap '' TERM INT HUP; sleep 1000 & while :; do sleep 0.05; done"
    assert await sh(local_world, replica, stubborn, timeout_s=0.5) == Checked(has_timed_out=True)
    await only_the_replica_is_left(replica)


async def test_one_whose_child_keeps_the_output_open_ends_when_it_ends(local_world):
    replica = await started(local_world)
    assert await sh(local_world, replica, "echo done; sleep 1000 &") == Checked(status=0, output="done\n")
    await only_the_replica_is_left(replica)


async def test_one_that_writes_without_end_costs_neither_memory_nor_disk(local_world):
    replica = await started(local_world)
    sizes_kb: list[int] = []
    stored: list[int] = []
    # Where the machine is busy, its time may be over before it has begun.
    for timeout_s in (2, 8, 32):
        checking = asyncio.ensure_future(check(local_world, replica, "cat", "/dev/zero", timeout_s=timeout_s))

        def is_over(checking: "asyncio.Future[Checked]" = checking) -> bool:
            sizes_kb.extend(map(_resident_kb, _checkers(local_world)))
            stored.append(_stored_below(local_world.root))
            return checking.done()

        await eventually(is_over)
        checked = await checking
        await only_the_replica_is_left(replica)
        if checked.output:
            break
    assert checked == Checked(has_timed_out=True, output="\0" * OUTPUT_LIMIT)
    assert 0 < max(sizes_kb) < 64 * 1024
    assert max(stored) < 64 * 1024 * 1024


async def test_what_is_written_last_is_kept_too(local_world):
    replica = await started(local_world)
    checked = await check(local_world, replica, sys.executable, "-c", "print('x' * 3999); print('last')")
    assert checked == Checked(status=0, output="x" * 3999 + "\nlast\n")


async def test_output_that_is_no_text_is_shown_as_far_as_it_is(local_world):
    replica = await started(local_world)
    assert (await sh(local_world, replica, r"printf 'a\377b'")).output == "a\ufffdb"


async def test_one_that_nobody_waits_for_any_more_is_ended(local_world):
    replica = await started(local_world)
    checking = asyncio.ensure_future(check(local_world, replica, "sleep", "1000"))
    await eventually(lambda: len(processes_of(replica)) > 1)
    checking.cancel()
    await asyncio.gather(checking, return_exceptions=True)
    await only_the_replica_is_left(replica)
    assert (await check(local_world, replica, "true")).status == 0


async def test_a_replica_that_ends_takes_its_checks_with_it(local_world):
    replica = await started(local_world)
    checking = asyncio.ensure_future(check(local_world, replica, "sleep", "1000"))
    await eventually(lambda: len(processes_of(replica)) > 1)
    leaving = [replica.replica_id]
    await local_world.cluster.apply(workload(retiring=leaving, stopping=leaving), fence=2)
    await local_world.until(lambda shown: not shown)
    with pytest.raises(DeploymentUnavailable):
        await checking
    assert not processes_of(replica)


async def test_checks_that_never_end_are_bounded_and_the_replica_is_looked_after_meanwhile(local_world):
    replica = await started(local_world)
    hanging = [asyncio.ensure_future(check(local_world, replica, "sleep", "1000")) for _ in range(MOST)]
    try:
        await eventually(lambda: len(commands_of(replica)) == MOST + 1, because="not all checks have begun")
        with pytest.raises(DeploymentUnavailable, match="come to their end"):
            await check(local_world, replica, "true")
        state = files.read_json(str(directory(local_world, replica) / files.STATE))
        assert state is not None
        kill(state["pid"])
        await local_world.until(lambda shown: shown[0].attempt == 1)
    finally:
        for each in hanging:
            each.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


# What it cannot reach.


@pytest.mark.skipif(landlock.version() < 6, reason="this kernel's Landlock does not refuse all that is tried")
async def test_it_can_order_nothing(local_world):
    """What else it cannot reach is tried by an intruder, in test_confinement."""
    replica = await started(local_world)
    own = directory(local_world, replica)
    attempts = {
        "read its record": f"cat {own}/{files.RECORD}",
        "order a check": f"echo x > {own}/{files.CHECKS}/x{ORDER}",
        "see what is ordered": f"ls {own}/{files.CHECKS}",
        "wake its shim": f"echo x > {own}/{files.CONTROL}",
        "write its log": f"echo x >> {own}/{files.LOG}",
        "signal its shim": f"kill -0 {parent(await main_pid(replica.replica_id))}",
        "signal the replica": f"kill -0 {await main_pid(replica.replica_id)}",
    }
    for what, script in attempts.items():
        checked = await sh(local_world, replica, script)
        assert checked.status not in (0, None), (what, checked)


def _named(command: bytes) -> list[int]:
    found = []
    for pid in proc.pids():
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes() == command:
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _checkers(world: LocalWorld) -> list[int]:
    """What runs as a shim of this world, or as one of its checkers."""
    found = []
    for pid in proc.pids():
        try:
            if f"{world.root}/deployments".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _status(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _namespaces(pid: int) -> list[str]:
    return [str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in ("mnt", "ipc")]


def _stored_below(folder: Path) -> int:
    """Bytes on the disk, which others write to as well."""
    stored = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                stored += os.lstat(Path(at, name)).st_blocks * 512
    return stored


def _resident_kb(pid: int) -> int:
    return next((int(line.split()[1]) for line in _status(pid) if line.startswith("VmRSS")), 0)
