"""One process of a replica: started in its own session, or adopted; watched and ended by pidfd."""

import os
import resource
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence

from libs.common.back_off import BackOff
from libs.common.cluster.local.shim import proc
from libs.common.cluster.local.shim.confine import Confinement

MOST_OPEN_FILES = 65_536
UMASK = 0o022
"""Of a replica, whatever the platform's own is."""
SWEEP = BackOff(0.005, 0.5)


class CannotStart(Exception):
    """The command cannot be run. `status` is what a shell would exit with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def find_executable(command: str, *, path: str, cwd: str) -> str:
    """Where it is: below `cwd` if it has a slash, else looked up in `path`. Raises CannotStart."""
    places = [cwd] if "/" in command else [place or cwd for place in path.split(":")]
    found = [file for place in places if os.path.isfile(file := os.path.join(cwd, place, command))]
    for file in found:
        if os.access(file, os.X_OK):
            return file
    if found:
        raise CannotStart(f"cannot start: {command!r} is not executable", 126)
    if "/" not in command:
        where = "was not found in PATH"
    elif os.path.isdir(os.path.join(cwd, command)):
        where = "is a directory"
    else:
        where = "does not exist"
    raise CannotStart(f"cannot start: {command!r} {where}", 127)


class Process:
    """A living process that is the first of its session. is_child: whether its exit status will be known."""

    def __init__(self, pid: int, *, is_child: bool) -> None:
        self.pid = pid
        self._is_child = is_child
        self._descriptor = os.pidfd_open(pid)

    def fileno(self) -> int:
        """Becomes readable when the process has ended."""
        return self._descriptor

    def has_ended(self) -> bool:
        return bool(select.select([self._descriptor], [], [], 0)[0])

    def end(self, grace_s: float) -> None:
        """SIGTERM to its process group, SIGKILL after the grace period; returns when it has ended."""
        self._signal_group(signal.SIGTERM)
        if not select.select([self._descriptor], [], [], grace_s)[0]:
            self._signal_group(signal.SIGKILL)
            select.select([self._descriptor], [], [])

    def collect(self) -> tuple[int | None, int | None]:
        """After it has ended: kill what is left of its group; returns its exit status and its signal."""
        if self._is_child:
            # Not reaped yet, so the group's number cannot be another's.
            self._signal_group(signal.SIGKILL)
        os.close(self._descriptor)
        if not self._is_child:
            return None, None
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return (code, None) if code >= 0 else (None, -code)

    def _signal_group(self, number: int) -> None:
        try:
            if self._is_child or not self.has_ended():
                os.killpg(self.pid, number)
        except ProcessLookupError:
            return  # it ended in this moment


def adopt(pid: int) -> Process | None:
    """A process that another shim started; None if it has ended."""
    try:
        return Process(pid, is_child=False)
    except ProcessLookupError:
        return None


def spawn(
    file: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    log: int,
    inherited: Sequence[int],
    confinement: Confinement,
    before_exec: Callable[[int], None],
) -> Process:
    """Start `file` in a session of its own, confined, in its own folder. Raises CannotStart.

    before_exec(pid) is called when the process exists and before it runs anything: what dies in between
    takes the process with it, so none ever runs that was not recorded. log: gets stdout and stderr.
    inherited: descriptors that the process keeps open besides.
    """
    gate, opener = os.pipe()
    failure, fail = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(
            file,
            argv,
            env,
            log=log,
            inherited=inherited,
            confinement=confinement,
            pipes=(gate, opener, fail),
        )
    os.close(gate)
    os.close(fail)
    process = Process(pid, is_child=True)
    try:
        before_exec(pid)
        os.write(opener, b"!")
    except OSError:
        os.close(opener)
        os.close(failure)
        process.collect()
        raise
    os.close(opener)
    said = os.read(failure, 16)
    os.close(failure)
    if said:
        process.collect()
        raise CannotStart(f"cannot start: {argv[0]!r}: {os.strerror(int(said))}", 126)
    return process


def _become(
    file: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    log: int,
    inherited: Sequence[int],
    confinement: Confinement,
    pipes: tuple[int, int, int],
) -> None:
    gate, opener, fail = pipes
    try:
        os.setsid()
        os.close(opener)
        if os.read(gate, 1):
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            for descriptor in inherited:
                os.set_inheritable(descriptor, True)
            _limit()
            # Python ignores these two, and what is ignored stays so in the program.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            os.umask(UMASK)
            confinement.enter()
            os.execve(file, [*argv], env)  # noqa: S606 - nothing goes through a shell
    except OSError as error:
        os.write(fail, str(error.errno).encode())
    finally:
        os._exit(127)


def _limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MOST_OPEN_FILES if most == resource.RLIM_INFINITY else min(MOST_OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def sweep(replica_id: str, *, is_family_known: bool) -> None:
    """Kill whatever the replica's process has left behind, and return when nothing is left.

    is_family_known: all that the replica ever started descends from this process, and so becomes its child as
    soon as it is an orphan. Nobody else of the machine is looked at then.
    """
    pause_s = 0.0
    while left := _left(replica_id, is_family_known=is_family_known):
        killed = [pid for pid in left if kill(pid)]
        if not killed:
            return
        reap()
        pause_s = SWEEP.next_s(pause_s)
        time.sleep(pause_s)


def end_family() -> None:
    """Kill whatever descends from this process, a subreaper, and return when nothing is left."""
    pause_s = 0.0
    while left := proc.children():
        for pid in left:
            kill(pid)
        reap()
        time.sleep(pause_s)
        pause_s = SWEEP.next_s(pause_s)


def _left(replica_id: str, *, is_family_known: bool) -> set[int]:
    children = proc.children()
    if children is not None and is_family_known:
        return set(children)
    return {*(children or ()), *proc.carriers([replica_id])} - {os.getpid()}


def kill(pid: int) -> bool:
    """False where the process has become somebody else's, as a set-user-id program does."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


def reap(besides: int | None = None) -> None:
    """Collect the orphans that ended and became this process's children; not the process `besides`."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == besides:
            return
        os.waitpid(ended.si_pid, 0)
