"""One cluster for a whole run of the tests, whoever of its workers needs it first.

A process of its own runs it (`python -m tests.support.kubelab.shared DIRECTORY KIND`). Every worker that uses
the cluster holds a shared lock on the file `users`, which the kernel takes away when the worker ends, however
it ends. When that process can have the lock for itself, nobody is left: it stops the cluster and ends.
"""

import fcntl
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import IO, Literal

from tests.support.kubelab import binary
from tests.support.kubelab.control_plane import ControlPlane
from tests.support.kubelab.machine import CannotUse, InUse
from tests.support.kubelab.parts import DidNotStart
from tests.support.kubelab.real_node import RealCluster
from tests.support.polling import waited_for

Kind = Literal["simulated", "real"]
CLUSTERS: dict[str, type[ControlPlane | RealCluster]] = {"simulated": ControlPlane, "real": RealCluster}

ROOT = Path(__file__).resolve().parents[3]
START_PATIENCE_S = 600.0
"""With nothing else to do it takes 4 seconds, and 25 with real nodes, whose packages are installed."""


class CannotShare(Exception):
    """The cluster did not come up, and why."""


@contextmanager
def shared_cluster(directory: Path, kind: Kind = "simulated") -> Iterator[Path]:
    """The kubeconfig of the cluster in this directory, which runs as long as anybody is in here.

    kind: of one directory always the same.
    The program has to be there: building it may take longer than a start may.
    Raises CannotUse where this machine is none for it, which is not asked again; CannotShare.
    """
    directory.mkdir(parents=True, exist_ok=True)
    state = directory / "cluster.json"
    with (directory / "users").open("a") as users:
        with _locked(directory / "starting"):
            # Refused while the last user has gone and the cluster is being stopped.
            _wait_until(lambda: _try(users, fcntl.LOCK_SH), directory)
            if not _runs(directory) and not (directory / "refused").exists():
                state.unlink(missing_ok=True)
                _start(directory, kind)
            _wait_until(lambda: state.exists() or not _runs(directory), directory)
            if not state.exists():
                refused = directory / "refused"
                if refused.exists():
                    raise CannotUse(refused.read_text())
                raise CannotShare(f"the cluster did not come up:\n{_said(directory)}")
        try:
            yield Path(json.loads(state.read_text())["kubeconfig"])
        finally:
            _leave(users, directory)


def _leave(users: IO[str], directory: Path) -> None:
    """The last one waits until it has stopped: what comes next may be to look what it left behind."""
    with _locked(directory / "starting"):
        is_last = _try(users, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)
        if is_last:
            _wait_until(lambda: not _runs(directory), directory)


def _start(directory: Path, kind: Kind) -> None:
    """Returns when the process holds the lock by which it is known to run."""
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, directory, kind],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdout
    with process.stdout:
        if process.stdout.read(1) != b"!":
            raise CannotShare(f"the cluster's process ended:\n{_said(directory)}")
    # It outlives its starter where another worker still uses the cluster, so it is nobody's to wait for.
    process.returncode = 0


def _runs(directory: Path) -> bool:
    with (directory / "running").open("a") as running:
        return not _try(running, fcntl.LOCK_EX)


def _wait_until(condition: Callable[[], bool], directory: Path) -> None:
    try:
        waited_for(condition, within_s=START_PATIENCE_S, every_s=0.05)
    except AssertionError as error:
        raise CannotShare(f"the cluster is not up: {error}\n{_said(directory)}") from None


def _said(directory: Path) -> str:
    log = directory / "log"
    return log.read_text()[-4000:] if log.exists() else ""


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _try(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _serve(directory: Path, kind: str) -> None:
    """Run the cluster until nobody uses it."""
    running = (directory / "running").open("a")
    users = (directory / "users").open("a")
    assert _try(running, fcntl.LOCK_EX), "another process runs this cluster"
    sys.stdout.write("!")
    sys.stdout.close()
    told_to_end = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told_to_end.set())
    number = sum(1 for one in directory.glob("cluster-*"))
    cluster = CLUSTERS[kind](directory / f"cluster-{number}", binary.ensure())

    def is_wanted() -> bool:
        return not told_to_end.is_set() and not _try(users, fcntl.LOCK_EX)

    try:
        _start_when_free(cluster, is_wanted, told_to_end)
        written = directory / "cluster.json.new"
        written.write_text(json.dumps({"kubeconfig": str(cluster.kubeconfig)}))
        written.replace(directory / "cluster.json")
        # Kept to the very end: who comes now waits until this process is gone, and starts another.
        while is_wanted():
            if isinstance(cluster, RealCluster):
                cluster.tend()
            told_to_end.wait(0.25)
    except CannotUse as error:
        (directory / "refused").write_text(str(error))
        sys.exit(str(error))
    except DidNotStart as error:
        sys.exit(str(error))
    finally:
        with suppress(FileNotFoundError):
            (directory / "cluster.json").unlink()
        cluster.stop()


def _start_when_free(
    cluster: ControlPlane | RealCluster, is_wanted: Callable[[], bool], told_to_end: Event
) -> None:
    """Not while another run has its nodes on this machine."""
    while True:
        try:
            cluster.start()
            return
        except InUse:
            if not is_wanted():
                raise
            told_to_end.wait(1)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2])
