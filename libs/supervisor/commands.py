"""`up` and `prepare`: what the command line calls; `down` is in `ending.py`. Each returns an exit status."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from libs.common.clock import monotonic
from libs.supervisor import nats_store, open_files, preparation, readiness
from libs.supervisor.console import Console
from libs.supervisor.errors import CannotStart, CannotStop, told
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
        return told(error)
    except OSError as error:  # such as a full disk under the home
        return told(CannotStart(f"SPECSTREAM_HOME: cannot use {home.path}: {error}"))
    return 0


def prepare(settings: SupervisorSettings, *, nats: int) -> int:
    """Write the home's keys and configurations and start nothing: for whoever runs the processes himself."""
    home = Home(settings.home)
    os.umask(_UMASK)
    try:
        home.create()
        with _owned(home):
            chosen = Ports(settings.api_port, settings.edge_port, nats, settings.more_edge_ports)
            preparation.prepare(settings, home, chosen)
            nats_store.take_over(home)
    except CannotStart as error:
        return told(error)
    return 0


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
