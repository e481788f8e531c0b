"""The api's listening socket: the supervisor has it open for as long as the platform is up, and each api in
turn is given it.

So while an api is being started again nobody else can listen there and be sent the API key, and who connects
waits for the next one instead of being refused.
"""

import os
import socket
from contextlib import suppress

from libs.common import loopback
from libs.common.cluster.local.shim import libc, proc
from libs.supervisor.errors import CannotStart
from libs.supervisor.ports import HOST

VARIABLE = "SPECSTREAM_API_SOCKET"
"""Tells the api the number of the descriptor."""

_BACKLOG = 2048
_PIDFD_GETFD = 438


class ApiPort:
    """Open for as long as the platform is up: first `take` it, then it is `listener` until `close`.

    The port of IPv6 is only kept: a client that tries `localhost` there first is refused and goes on to IPv4.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._kept: socket.socket | None = None

    @property
    def listener(self) -> socket.socket:
        """Raises OSError where an adopted api had it alone, has ended, and somebody else was quicker."""
        if self._socket is None:
            self._socket = _listen(self._port)
        return self._socket

    def take(self, living: int | None) -> None:
        """living: the pid of the api that goes on, and has the socket already. Raises CannotStart."""
        if loopback.IPV6 in loopback.hosts():
            self._kept = _keep(self._port)
        if living is not None:
            given = socket_of(living, VARIABLE)
            if given is not None and given.getsockname() != (HOST, self._port):
                given.close()
                given = None
            self._socket = given
            return
        try:
            self._socket = _listen(self._port)
        except OSError as error:
            problem = f"cannot listen on port {self._port}: {error.strerror}"
            raise CannotStart(f"{problem}; choose another one with SPECSTREAM_API_PORT") from error

    def take_back(self) -> None:
        """At once when an api has ended that had it alone. Where somebody was quicker, starting the next api
        tells."""
        with suppress(OSError):
            _ = self.listener

    def close(self) -> None:
        for held in (self._socket, self._kept):
            if held is not None:
                held.close()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _keep(port: int) -> socket.socket | None:
    """Bound, so that nobody else can listen there; None where somebody does."""
    kept = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    try:
        kept.bind((loopback.IPV6, port))
    except OSError:
        kept.close()
        return None
    return kept


def socket_of(pid: int, variable: str) -> socket.socket | None:
    """The listening socket that an earlier supervisor gave to a process by this variable; None where the
    kernel lets nobody take it (Yama allows an ordinary user no process that he did not start)."""
    try:
        given = proc.variable(proc.environment(pid) or b"", variable)
        if given is None or not given.isdigit():
            return None
        pidfd = os.pidfd_open(pid)
        try:
            descriptor = libc.syscall(_PIDFD_GETFD, pidfd, int(given), 0)
        finally:
            os.close(pidfd)
    except OSError:
        return None
    os.set_inheritable(descriptor, False)
    taken = socket.socket(fileno=descriptor)
    if taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return taken
    taken.close()
    return None
