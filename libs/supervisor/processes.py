"""Processes: start one, find those of a home again, wait for the end of one, send it a signal.

A program is known by marks in its environment, which outlive the supervisor: its name, its home, its own pid
and its launch, which nobody else can know. A child of a program inherits the marks, but not the pid,
so it is never taken for the program itself. A bare pid file is never believed.
"""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

from libs.common.cluster.local.shim import proc
from libs.common.ids import new_id
from libs.supervisor import envoy_config
from libs.supervisor.home import Home
from libs.supervisor.programs import Program

HOME = "SPECSTREAM_HOME"
PROGRAM = "SPECSTREAM_PROGRAM"
LAUNCH = "SPECSTREAM_LAUNCH"
PID = "SPECSTREAM_PID"

_SECRETS = ("SPECSTREAM_API_KEY",)
"""Never inherited: a program that needs one is given it."""

SUCCEEDED = "exited with status 0"

NO_LISTENERS: Final[Mapping[str, socket.socket | None]] = MappingProxyType({})

_MARK_AND_RUN = f'{PID}=$$; export {PID}; exec "$@"'


@dataclass(frozen=True, slots=True)
class Living:
    """A process with our marks."""

    pid: int
    name: str
    launch: str
    is_program: bool
    """Whether it is the program itself, not something that the program started."""
    is_starting: bool = False
    """Whether it is between fork and exec of its program, so that neither is known yet."""


def living(home: Home) -> tuple[Living, ...]:
    """Every living process that carries the marks of this home, by rising pid."""
    found = (_read_marks(pid, home) for pid in _pids())
    return tuple(process for process in found if process is not None)


class Process:
    """A running program of ours, whether this process started it or found it. Its pid cannot be reused
    as long as this object is there."""

    def __init__(
        self, name: str, pid: int, pidfd: int, child: "subprocess.Popen[bytes] | None" = None
    ) -> None:
        self.name = name
        self.pid = pid
        self._pidfd = pidfd
        self._child = child

    async def ended(self) -> str:
        """Wait for its end; how it ended, in words. To be awaited by one task at a time."""
        loop = asyncio.get_running_loop()
        is_over = asyncio.Event()
        loop.add_reader(self._pidfd, is_over.set)
        try:
            await is_over.wait()
        finally:
            loop.remove_reader(self._pidfd)
        return self._describe_end()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended."""
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return

    def close(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def _describe_end(self) -> str:
        if self._child is None:
            return "ended"  # found, not started here: only its parent learns the status
        status = self._child.wait()
        if status < 0:
            return f"ended by {signal.Signals(-status).name}"
        return f"exited with status {status}"


def spawn(
    program: Program, home: Home, *, root: Path, listeners: Mapping[str, socket.socket | None] = NO_LISTENERS
) -> Process:
    """Start a program in its own session, its output appended to its log file.

    listeners: are given to it, each named by its variable.
    Raises OSError when the machine cannot start a process.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    marks = {HOME: str(home.path), PROGRAM: program.name, LAUNCH: program.launch}
    if program.start_variable:
        marks[program.start_variable] = envoy_config.started(new_id())
    given = {variable: listener.fileno() for variable, listener in listeners.items() if listener is not None}
    marks |= {variable: str(descriptor) for variable, descriptor in given.items()}
    with _open_log(home.log(program.name)) as log:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _MARK_AND_RUN, program.name, *program.argv],
            cwd=program.folder or root,
            env={**inherited, **program.environment, **marks},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(given.values()),
        )
    return Process(program.name, child.pid, os.pidfd_open(child.pid), child)


def _open_log(path: Path) -> BinaryIO:
    """Appending, so that its beginning can be taken off. A full disk under the logs keeps no program from
    starting; what it says is lost then."""
    try:
        return path.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")


def hold(pid: int, name: str) -> Process | None:
    """Keep hold of a process that is known otherwise; None when it has ended."""
    try:
        return Process(name, pid, os.pidfd_open(pid))
    except ProcessLookupError:
        return None


def adopt(found: Living, home: Home) -> Process | None:
    """Take over a process that was found; None when it has ended since. One that was between fork and exec of
    its program may have come to it meanwhile."""
    process = hold(found.pid, found.name)
    if process is None:
        return None
    # Read again now that the pid is held: before, another process could have got it.
    now = _read_marks(found.pid, home)
    if now is None or (now.name, now.launch) != (found.name, found.launch):
        process.close()
        return None
    return process


def _pids() -> Iterator[int]:
    own = os.getpid()
    names = (entry.name for entry in Path("/proc").iterdir())
    return iter(sorted(int(name) for name in names if name.isdigit() and int(name) != own))


def _read_marks(pid: int, home: Home) -> Living | None:
    content = proc.environment(pid)
    if content is None:
        return None  # gone, or another user's
    name = proc.variable(content, PROGRAM)
    if name is None or proc.variable(content, HOME) != os.fsencode(home.path):
        return None
    own_pid = proc.variable(content, PID)
    return Living(
        pid=pid,
        name=os.fsdecode(name),
        launch=os.fsdecode(proc.variable(content, LAUNCH) or b""),
        is_program=own_pid == str(pid).encode(),
        is_starting=own_pid is None,
    )
