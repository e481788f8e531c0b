"""What a replica of the local cluster finds around it."""

import json
import socket

import pytest

from libs.common.cluster.port import ReplicaPhase
from tests.support.clusters import DEPLOYMENT, LocalWorld, all_run, run_of, template, workload
from tests.support.log_lines import read_lines
from tests.support.polling import eventually
from tests.support.processes import main_pid, shim_pids

REPORT = """
import json, os, resource, sys, time
def target(number):
    path = f"/proc/self/fd/{number}"
    return os.readlink(path) if os.path.lexists(path) else None
print(json.dumps({
    "env": dict(os.environ),
    "argv": sys.argv[1:],
    "cwd": os.getcwd(),
    "stdin": target(0),
    "open": [target(number) for number in range(3, 64) if target(number)],
    "leads": os.getsid(0) == os.getpid() == os.getpgid(0),
    "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
}), flush=True)
print("to stderr", file=sys.stderr, flush=True)
time.sleep(1000)
"""


async def messages(cluster):
    return [line.message for line in await read_lines(cluster, DEPLOYMENT)]


async def started(world, number=1, *, of=None):
    await world.cluster.apply(workload(run_of(number, of=of)), fence=1)
    return await world.until(all_run(number))


async def test_it_gets_its_own_environment_and_nothing_else(local_world, monkeypatch):
    monkeypatch.setenv("SPECSTREAM_API_KEY", "not for replicas")
    of = template(
        "python",
        "-c",
        REPORT,
        "--port=$(PORT)",
        "$$(PORT)",
        "$(NONE)",
        ports=(8000, 9000),
        URL=":$(PORT_9000)",
    )
    (replica,) = await started(local_world, of=of)

    async def has_reported():
        return len(await messages(local_world.cluster)) == 2

    await eventually(has_reported)
    said, error = await messages(local_world.cluster)
    report = json.loads(said)
    home = local_world.root / "deployments" / DEPLOYMENT / replica.replica_id / "cwd"
    environment = report["env"]
    assert environment.pop("PATH").startswith(f"{local_world.cluster._path.split(':')[0]}:")
    environment.pop("LC_CTYPE", None)  # an interpreter in the C locale sets it for itself
    assert environment == {
        "PORT": str(replica.ports[8000]),
        "PORT_9000": str(replica.ports[9000]),
        "SPECSTREAM_DEPLOYMENT_ID": DEPLOYMENT,
        "SPECSTREAM_RUN_ID": "run",
        "SPECSTREAM_REPLICA_ID": replica.replica_id,
        "HOME": str(home),
        "TMPDIR": str(local_world.root / "tmp" / replica.replica_id[-12:]),
        "URL": f":{replica.ports[9000]}",
    }
    assert report["argv"] == [f"--port={replica.ports[8000]}", "$(PORT)", "$(NONE)"]
    assert report["cwd"] == str(home)
    assert report["stdin"] == "/dev/null"
    assert report["leads"]
    assert report["core"] == 0
    # Its lock, and the names of its two ports.
    assert [file.partition("[")[0] for file in report["open"] if file != str(home.parent / "lock")] == [
        "socket:",
        "socket:",
    ]
    assert error == "to stderr"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        pytest.param(
            ["no-such-program"], "cannot start: 'no-such-program' was not found in PATH", id="unknown"
        ),
        pytest.param(["./nothing"], "cannot start: './nothing' does not exist", id="a missing file"),
        pytest.param(["/usr"], "cannot start: '/usr' is a directory", id="a directory"),
        pytest.param(["/etc/passwd"], "cannot start: '/etc/passwd' is not executable", id="no program"),
    ],
)
async def test_a_command_that_cannot_run_is_a_crash_that_says_why(local_world, command, message):
    await local_world.cluster.apply(workload(run_of(1, of=template(*command))), fence=1)
    (replica,) = await local_world.until(lambda shown: shown[0].attempt == 1 and shown[0].restart_at)
    assert replica.phase is ReplicaPhase.EXITED
    assert replica.message == message
    assert (replica.restart_at - replica.last_exit.at).total_seconds() == 10


async def test_a_file_that_is_no_program_says_why(local_world, tmp_path):
    file = tmp_path / "garbage"
    file.write_bytes(b"\x7fgarbage")
    file.chmod(0o755)
    await local_world.cluster.apply(workload(run_of(1, of=template(str(file)))), fence=1)
    (replica,) = await local_world.until(lambda shown: shown[0].attempt == 1 and shown[0].restart_at)
    assert "Exec format error" in replica.message


async def test_fifty_replicas_of_two_homes_have_a_hundred_ports(local_world, tmp_path):
    other = LocalWorld(tmp_path / "other")
    try:
        shown = [
            *await started(local_world, 25, of=template("sleep", "1000")),
            *await started(other, 25, of=template("sleep", "1000", ports=(1, 2, 3))),
        ]
        ports = [port for replica in shown for port in replica.ports.values()]
        assert len(ports) == len(set(ports)) == 100
        assert len({await main_pid(replica.replica_id) for replica in shown}) == 50
    finally:
        await other.cluster.shutdown(grace_seconds=0)


async def test_a_port_that_was_taken_meanwhile_is_exchanged_at_the_restart(local_world):
    (replica,) = await started(local_world)
    with socket.create_server(("127.0.0.1", replica.ports[8000])):
        await local_world.exit(replica.replica_id, status=1)
        (again,) = await local_world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)
    assert again.ports[8000] != replica.ports[8000]


async def test_a_replica_keeps_at_most_its_newest_log(local_world):
    command = "i=0; while [ $i -lt 60 ]; do head -c 1000000 /dev/zero | tr '\\0' x; echo; i=$((i+1)); done"
    (replica,) = await started(local_world, of=template("sh", "-c", f"{command}; echo last; exec sleep 1000"))
    log = local_world.root / "deployments" / DEPLOYMENT / replica.replica_id / "log"
    whole = 60 * len("x" * 1_000_000 + "\n") + len("last\n")
    await eventually(lambda: log.stat().st_size == whole and log.stat().st_blocks * 512 < 42_000_000)
    kept = await messages(local_world.cluster)
    assert kept[-1] == "last"
    assert 30_000_000 < sum(map(len, kept)) < 42_000_000
    assert set("".join(kept[:-1])) == {"x"}


async def test_a_replica_may_cut_off_its_log_again_and_again(local_world):
    (replica,) = await started(local_world)
    await eventually(lambda: len(shim_pids(local_world.root)) == 1, because="what starts the shim is there")
    (shim,) = shim_pids(local_world.root)
    await local_world.tell(replica.replica_id, "i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); done")
    await eventually(is_last(local_world.cluster, "999"))
    for word in ("x", "x", "x", "y", "a longer one", "z"):
        seen = [line.id for line in await read_lines(local_world.cluster, DEPLOYMENT)]
        await local_world.tell(replica.replica_id, f"echo {word} > /dev/stdout")

        async def is_new(word=word, last=seen[-1]):
            lines = [line.message for line in await read_lines(local_world.cluster, DEPLOYMENT, after=last)]
            return lines == [word]

        await eventually(is_new, because=f"{word} is not the one new line")
        assert await messages(local_world.cluster) == [word]
    await local_world.tell(replica.replica_id, "echo beside it")
    await eventually(is_last(local_world.cluster, "beside it"))
    assert await messages(local_world.cluster) == ["z", "beside it"]
    assert shim_pids(local_world.root) == [shim]


def is_last(cluster, message):
    async def check():
        return (await messages(cluster))[-1:] == [message]

    return check


async def test_the_ten_newest_gone_replicas_are_remembered(local_world):
    for fence in range(1, 13):
        await local_world.cluster.apply(workload(run_of(1)), fence=fence)
        (replica,) = await local_world.until(all_run(1))
        await local_world.write(replica.replica_id, f"words {fence}")

        async def is_read(word=f"words {fence}"):
            return word in await messages(local_world.cluster)

        await eventually(is_read)
        leaving = [replica.replica_id]
        await local_world.cluster.apply(workload(retiring=leaving, stopping=leaving), fence=fence)
        await local_world.until(lambda shown: not shown)
    assert await messages(local_world.cluster) == [f"words {fence}" for fence in range(3, 13)]


async def test_what_somebody_else_put_beside_the_deployments_is_left_alone(local_world):
    beside = local_world.root / "deployments"
    await local_world.cluster.apply(workload(run_of(1)), fence=1)
    (beside / ".DS_Store").touch()
    (beside / "a_file").touch()
    (beside / "not an id").mkdir()

    await local_world.until(all_run(1))

    assert list(await local_world.cluster.observe()) == [DEPLOYMENT]
    assert (beside / "not an id").is_dir()


async def test_a_deployment_whose_replica_dug_too_deep_is_deleted_whole(local_world):
    await local_world.cluster.apply(workload(run_of(1)), fence=1)
    (replica,) = await local_world.until(all_run(1))
    dig = "i=0; while [ $i -lt 1500 ]; do mkdir d && cd -P d; i=$((i+1)); done; echo dug"
    await local_world.tell(replica.replica_id, dig)
    await eventually(is_last(local_world.cluster, "dug"))

    await local_world.cluster.remove(DEPLOYMENT, fence=2)

    async def is_forgotten():
        await local_world.cluster.observe()
        return not (local_world.root / "deployments" / DEPLOYMENT).exists()

    await eventually(is_forgotten)
