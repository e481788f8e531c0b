"""What a replica cannot reach, tried by a replica; and that it can do its work all the same."""

import asyncio
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.local.shim import capabilities, landlock
from tests.support import intruder
from tests.support.clusters import DEPLOYMENT, LocalWorld, all_run, run_of, template, workload
from tests.support.executables import an_executable
from tests.support.log_lines import read_lines
from tests.support.machine_memory import memory_of_the_machine
from tests.support.polling import eventually
from tests.support.processes import is_alive, kill, main_pid, parent

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = intruder.__file__
NOBODY = 65_534

pytestmark = pytest.mark.skipif(
    landlock.version() < 6, reason="this kernel's Landlock does not refuse all that is tried here"
)


@dataclass
class Attacked:
    """A platform's home with secrets in it, a service, and a cluster whose replicas run as `user`."""

    outside: Path
    home: Path
    python: str
    service: subprocess.Popen
    world: LocalWorld
    user: int

    def remove(self) -> None:
        self.service.kill()
        self.service.wait()
        shutil.rmtree(self.outside)


def a_python_for(user: int) -> str:
    for python in (sys.executable, "/usr/bin/python3"):
        # Through a shell: `setpriv` itself still has root's rights when it starts a program.
        code = shlex.join([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"])
        if not subprocess.run(
            [*as_user(user), "sh", "-c", code], capture_output=True, check=False
        ).returncode:
            return python
    pytest.skip("there is no Python here that another user can run")


def as_user(user: int) -> list[str]:
    if user == os.geteuid():
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def make_attacked(user: int) -> Attacked:
    python = a_python_for(user)
    # Not below pytest's own directory, which is for its user alone.
    outside = Path(tempfile.mkdtemp(prefix="attacked-"))
    outside.chmod(0o755)
    home = outside / "home"
    (home / "nats").mkdir(parents=True)
    home.chmod(0o700)
    (home / "nats/api.nk").write_text("SUAM")
    (home / "api-key").write_text("secret")
    (outside / "beside").write_text("for everybody")
    shim_python = an_executable(
        outside / "python",
        f"pipe={shlex.quote(str(outside))}/pipe.$$; mkfifo $pipe; exec 3<&0",
        f'while read -r each <&3; do chown -R {user} {shlex.quote(str(home))}; echo "$each"; done >$pipe &',
        f'exec {shlex.join([*as_user(user), python])} "$@" <$pipe',
    )
    environment = {"SPECSTREAM_API_KEY": "secret", "PATH": os.environ["PATH"]}
    service = subprocess.Popen([*as_user(user), "sleep", "1000"], env=environment)
    world = LocalWorld(home / "replicas")
    world.cluster = LocalCluster(world.root, grace_seconds=5, python=shim_python)
    return Attacked(outside, home, python, service, world, user)


@pytest.fixture(params=["the platform's user", "another user"])
async def attacked(request) -> AsyncIterator[Attacked]:
    """As whoever runs the tests; where that is root, also as somebody without privileges."""
    user = os.geteuid()
    if request.param == "another user":
        if user != 0 or shutil.which("setpriv") is None:
            pytest.skip("only root can run replicas as another user")
        user = NOBODY
    attacked = make_attacked(user)
    try:
        yield attacked
    finally:
        await attacked.world.cluster.shutdown(grace_seconds=0)
        attacked.remove()


def disks() -> list[str]:
    return [f"/dev/{disk.name}" for disk in Path("/sys/block").iterdir() if Path("/dev", disk.name).exists()]


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    """What whoever looks after the replicas writes for their shims belongs to the platform's user."""
    before = os.getegid(), os.geteuid()
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(before[1])
        os.setegid(before[0])


async def report_of_a_check(attacked: Attacked, code: str, targets: str) -> dict:
    """What the intruder says who comes as a check of a replica that does nothing itself."""
    world = attacked.world
    idle = run_of(1, run_id="idle", of=template("sleep", "1000", TARGETS=targets))
    await world.cluster.apply(workload(run_of(1, run_id="victim"), idle), fence=2)
    shown = await world.until(all_run(2))
    replica = next(each for each in shown if each.run_id == "idle")
    report = world.root / "deployments" / DEPLOYMENT / replica.replica_id / "cwd/report"
    command = ["sh", "-c", f"exec {shlex.join([attacked.python, '-c', code])} > report"]
    with acting_as(attacked.user):
        check = world.cluster.run_check(
            DEPLOYMENT, replica.replica_id, attempt=0, command=command, timeout_s=1000
        )
        checking = asyncio.ensure_future(check)
        try:
            await eventually(lambda: report.exists() and report.read_text().endswith("}\n"))
        finally:
            checking.cancel()
            await asyncio.gather(checking, return_exceptions=True)
    return json.loads(report.read_text())


async def report_of_an_intruder(attacked: Attacked, *, comes_as_a_check: bool = False) -> dict:
    world, home = attacked.world, attacked.home
    victim = run_of(1, run_id="victim")
    await world.cluster.apply(workload(victim), fence=1)
    (other,) = await world.until(all_run(1))
    await world.tell(other.replica_id, "echo dear > diary")
    victim_pid = await main_pid(other.replica_id)
    folder = home / "replicas/deployments" / DEPLOYMENT
    await eventually((folder / other.replica_id / "cwd/diary").exists)
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0attacked-{os.getpid()}")
    abstract.listen()
    with (
        abstract,
        memory_of_the_machine() as segment,
        socket.create_server(("127.0.0.1", 0)) as server,
        tempfile.NamedTemporaryFile() as in_tmp,
    ):
        os.fchmod(in_tmp.fileno(), 0o644)
        targets = {
            "home": str(home),
            "other": str(folder / other.replica_id),
            "replica": "",
            "service": attacked.service.pid,
            "victim": victim_pid,
            "shim": parent(victim_pid),
            "segment": segment,
            "abstract": f"attacked-{os.getpid()}",
            "disks": disks(),
            "disk": [254, 0],
            "beside": str(home.parent / "beside"),
            "in_tmp": in_tmp.name,
            "port": server.getsockname()[1],
        }
        code = (
            "import json, os, runpy; told = json.loads(os.environ['TARGETS']); "
            "told['replica'] = os.path.dirname(os.getcwd()); os.environ['TARGETS'] = json.dumps(told); "
            f"runpy.run_path({SCRIPT!r}, run_name='__main__')"
        )
        if comes_as_a_check:
            return await report_of_a_check(attacked, code, json.dumps(targets))
        of = template(attacked.python, "-c", code, TARGETS=json.dumps(targets))
        await world.cluster.apply(workload(victim, run_of(1, run_id="intruder", of=of)), fence=2)

        async def has_reported():
            said = [line.message for line in await read_lines(world.cluster, DEPLOYMENT)]
            return next((json.loads(line) for line in said if line.startswith('{"attacks"')), None)

        return await eventually(has_reported, because="the intruder never reported")


@pytest.mark.parametrize("comes_as_a_check", [False, True], ids=["as a replica", "as a check"])
async def test_an_intruder_reaches_nothing_past_its_folders_and_can_work(attacked, comes_as_a_check):
    report = await report_of_an_intruder(attacked, comes_as_a_check=comes_as_a_check)
    assert report["uid"] == attacked.user
    assert report["shared"] == {"files": [], "segment": "ENOENT"}

    refusals = {"EACCES", "EPERM", "EXDEV", "EROFS"}
    assert {name: came for name, came in report["attacks"].items() if came not in refusals} == {}
    assert {name: came for name, came in report["needs"].items() if came != "done"} == {}
    assert set(report["capabilities"]) <= set(capabilities.KEPT)
    held = sum(1 << each for each in capabilities.KEPT)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(report["status"][kind], 16) & ~held == 0
    assert report["status"]["NoNewPrivs"] == "1"

    assert (attacked.home / "api-key").read_text() == "secret"
    assert attacked.service.poll() is None
    shown = await attacked.world.until(all_run(2))
    assert all(replica.attempt == 0 for replica in shown)


LEAVE_A_STRAY = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open("pid", "w") as file:
            file.write(str(os.getpid()))
        os.rename("pid", "stray")
        os.chdir("/")
        os.closerange(0, 1024)
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(1000)"], {})
    os._exit(0)
time.sleep(1000)
"""


async def test_what_hid_from_a_shim_that_was_killed_ends_with_its_replica(attacked):
    """It has no longer the replica's environment, lock, session or directory, and is nobody's child."""
    world = attacked.world
    of = template(attacked.python, "-c", LEAVE_A_STRAY)
    await world.cluster.apply(workload(run_of(1, of=of)), fence=1)
    (replica,) = await world.until(all_run(1))
    noted = attacked.home / "replicas/deployments" / DEPLOYMENT / replica.replica_id / "cwd/stray"
    await eventually(noted.exists)
    stray = int(noted.read_text())
    await eventually(lambda: Path(f"/proc/{stray}/environ").read_bytes() == b"")
    process = await main_pid(replica.replica_id)
    shim = parent(process)
    kill(shim)
    await eventually(lambda: not is_alive(shim))
    await world.cluster.remove(DEPLOYMENT, fence=2)
    await world.until_gone()
    assert not is_alive(process)
    assert not is_alive(stray)


SHOW = """
import os, time
status = open("/proc/self/status").read()
print("caps", next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd")), flush=True)
print("listed", bool(os.listdir(os.environ["HOME"] + "/../..")), flush=True)
time.sleep(1000)
"""


async def test_without_landlock_replicas_run_without_roots_capabilities(tmp_path):
    python = an_executable(
        tmp_path / "python",
        f"export PYTHONPATH={ROOT}",
        f'exec {sys.executable} -m tests.support.without_landlock {sys.executable} "$@"',
    )
    world = LocalWorld(tmp_path / "home/replicas")
    world.cluster = LocalCluster(world.root, grace_seconds=5, python=python)
    try:
        of = template(sys.executable, "-c", SHOW)
        await world.cluster.apply(workload(run_of(1, of=of)), fence=1)

        async def said():
            lines = [line.message for line in await read_lines(world.cluster, DEPLOYMENT)]
            return lines if len(lines) == 2 else None

        capability_set, listed = await eventually(said)
    finally:
        await world.cluster.shutdown(grace_seconds=0)
    assert listed == "listed True"
    if os.geteuid() == 0:
        assert int(capability_set.split()[1], 16) == sum(1 << each for each in capabilities.KEPT)


def test_without_landlock_the_cluster_says_so(tmp_path):
    code = (
        "from pathlib import Path; from libs.common.cluster.local.cluster import LocalCluster; "
        f"print(*LocalCluster(Path({str(tmp_path)!r})).notices)"
    )
    asked = [sys.executable, "-m", "tests.support.without_landlock", sys.executable, "-c", code]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.stdout.startswith("replicas are not confined: this kernel has no Landlock"), told


REPORT_MOUNTS = """
import os, time
try:
    os.chmod(os.environ["BESIDE"], 0o600)
    print("changed", flush=True)
except OSError as error:
    print(error.strerror, flush=True)
try:
    print(len(os.listdir(os.path.dirname(os.environ["BESIDE"]))), flush=True)
except OSError as error:
    print(error.strerror, flush=True)
time.sleep(1000)
"""


async def test_without_namespaces_the_rest_of_the_confinement_stays(tmp_path):
    secret = tmp_path / "home/api-key"
    secret.parent.mkdir()
    secret.touch(mode=0o644)
    python = an_executable(
        tmp_path / "python",
        f"export PYTHONPATH={ROOT}",
        f'exec {sys.executable} -m tests.support.without_mounts {sys.executable} "$@"',
    )
    world = LocalWorld(tmp_path / "home/replicas")
    world.cluster = LocalCluster(world.root, grace_seconds=5, python=python)
    try:
        of = template(sys.executable, "-c", REPORT_MOUNTS, BESIDE=str(secret))
        await world.cluster.apply(workload(run_of(1, of=of)), fence=1)

        async def said():
            lines = [line.message for line in await read_lines(world.cluster, DEPLOYMENT)]
            return lines if len(lines) == 2 else None

        assert await eventually(said) == ["changed", "Permission denied"]
    finally:
        await world.cluster.shutdown(grace_seconds=0)


def test_without_namespaces_the_cluster_says_so(tmp_path):
    code = (
        "from pathlib import Path; from libs.common.cluster.local.cluster import LocalCluster; "
        f"print(*LocalCluster(Path({str(tmp_path)!r})).notices)"
    )
    asked = [sys.executable, "-m", "tests.support.without_mounts", sys.executable, "-c", code]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.stdout.startswith("replicas can change modes and times of files"), told
