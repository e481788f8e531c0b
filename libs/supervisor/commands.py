"""`up`, `down` and `prepare`: what the command line calls. Each returns an exit status."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from libs.common.clock import monotonic
from libs.supervisor import nats_store, open_files, preparation, processes, readiness, replicas, shutdown
from libs.supervisor.console import Console
from libs.supervisor.errors import CannotStart, CannotStop
from libs.supervisor.home import Home, lock_holder, locked, write_public
from libs.supervisor.ports import Ports
from libs.supervisor.settings import SupervisorSettings
from libs.supervisor.supervise import Supervisor

_UMASK = 0o077
"""What the platform's processes write is for their owner alone; the shim gives replicas the usual one."""

_HOLDER_KNOWN_WITHIN_S = 2.0


def up(settings: SupervisorSettings) -> int:
    """Run the platform in the foreground until Ctrl-C, SIGTERM, SIGHUP or `down`.

    0 when it was stopped as asked; 1, with the reason on stderr, when it could not start or stop.
    """
    home = Home(settings.home)
    os.umask(_UMASK)
    open_files.allow_all()
    try:
        home.create()
        with _owned(home):
            write_public(home.pid("supervisor"), f"{os.getpid()}\n")
            try:
                asyncio.run(Supervisor(settings, home, Console(home)).run())
            finally:
                home.pid("supervisor").unlink(missing_ok=True)
    except (CannotStart, CannotStop) as error:
        return _fail(error)
    except OSError as error:  # such as a full disk under the home
        return _fail(CannotStart(f"SPECSTREAM_HOME: cannot use {home.path}: {error}"))
    return 0


def down(settings: SupervisorSettings) -> int:
    """Stop everything of the home, replicas too, whether or not its supervisor lives.

    0 when nothing is left; 1, with the reason on stderr, when something would not end.
    """
    home = Home(settings.home)
    if not home.lock.exists():
        print(f"nothing is running in {home.path}")
        return 0
    try:
        asyncio.run(_down(home, settings))
    except CannotStop as error:
        return _fail(error)
    return 0


def prepare(settings: SupervisorSettings, *, nats: int) -> int:
    """Write the home's keys and configurations and start nothing: for whoever runs the processes himself."""
    home = Home(settings.home)
    os.umask(_UMASK)
    try:
        home.create()
        with _owned(home):
            chosen = Ports(settings.api_port, settings.edge_port, nats=nats)
            preparation.prepare(settings, home, chosen)
            nats_store.take_over(home)
    except CannotStart as error:
        return _fail(error)
    return 0


async def _down(home: Home, settings: SupervisorSettings) -> None:
    console = Console(home)
    hurry = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hurry.set)
    was_running = False
    while True:
        with locked(home) as is_ours:
            if is_ours:
                was_running = was_running or bool(processes.living(home) or replicas.left(home))
                await shutdown.stop_everything(
                    home, console, grace_seconds=settings.grace_seconds, hurry=hurry
                )
                console.say("stopped" if was_running else f"nothing is running in {home.path}")
                return
        was_running = True
        await _tell_supervisor(home, hurry)


async def _tell_supervisor(home: Home, hurry: asyncio.Event) -> None:
    """Have the living supervisor stop everything, and wait for its end."""
    pid = lock_holder(home)
    if pid is None:  # it just ended, or has not written its pid yet
        await asyncio.sleep(readiness.INTERVAL_S)
        return
    supervisor = processes.hold(pid, "supervisor")
    if supervisor is None:
        return
    over = asyncio.ensure_future(supervisor.ended())
    hurried = asyncio.ensure_future(hurry.wait())
    try:
        if lock_holder(home) == pid:
            supervisor.send(signal.SIGTERM)
        await asyncio.wait({over, hurried}, return_when=asyncio.FIRST_COMPLETED)
        if not over.done():
            supervisor.send(signal.SIGTERM)
        await over
    finally:
        hurried.cancel()
        await asyncio.gather(hurried, return_exceptions=True)
        supervisor.close()


@contextmanager
def _owned(home: Home) -> Iterator[None]:
    with locked(home) as is_ours:
        if not is_ours:
            raise CannotStart(f"{home.path} is in use by {_describe_holder(home)}")
        yield


def _describe_holder(home: Home) -> str:
    deadline = monotonic() + _HOLDER_KNOWN_WITHIN_S
    while (pid := lock_holder(home)) is None and monotonic() < deadline:
        time.sleep(readiness.INTERVAL_S)
    return f"another supervisor (pid {pid}); `specstream down` stops it" if pid else "another process"


def _fail(error: Exception) -> int:
    for line in str(error).splitlines():
        print(f"specstream: {line}", file=sys.stderr)
    return 1
