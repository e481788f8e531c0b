"""A replica's own ports: from a range that the kernel hands to nobody by itself, each to one replica.

They are handed out in turn, so that one that was freed is not soon another's. Whoever has one holds an
abstract socket of its name, which no second process on the machine can bind: so two homes never agree on
a port, also before its owner listens there. The replica inherits the sockets and keeps its ports without
a shim.
"""

import fcntl
import os
import socket
from collections.abc import Iterable, Mapping

_LOWEST = 10_240
_FEWEST = 1_000
_CURSOR = "ports"


class NoPortLeft(OSError):
    """Every port of the range is taken."""


def port_range(ephemeral: tuple[int, int]) -> tuple[int, int]:
    """The first and last port to hand out: below the kernel's ephemeral ones if there is room."""
    low, high = ephemeral
    if low - _LOWEST >= _FEWEST:
        return _LOWEST, low - 1
    if 65_535 - high >= _FEWEST:
        return high + 1, 65_535
    return _LOWEST, 65_535


class OwnPorts:
    """The ports of one replica. root: the directory that its home's replicas share."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._held: dict[int, socket.socket] = {}

    @property
    def descriptors(self) -> list[int]:
        """What the replica's process inherits."""
        return [held.fileno() for held in self._held.values()]

    def settle(self, wanted: Iterable[int], present: Mapping[int, int]) -> dict[int, int]:
        """An own port for each wanted one: the present one, or another where somebody else listens there."""
        settled = {}
        for port in wanted:
            own = present.get(port)
            settled[port] = own if own is not None and self._take(own) else self._next()
        for own in set(self._held) - set(settled.values()):
            self._held.pop(own).close()
        return settled

    def _take(self, port: int) -> bool:
        if port not in self._held:
            name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                name.bind(f"\0specstream-port-{port}")
            except OSError:
                name.close()
                return False
            self._held[port] = name
        if _is_free(port):
            return True
        self._held.pop(port).close()
        return False

    def _next(self) -> int:
        first, last = port_range(_ephemeral())
        span = last - first + 1
        descriptor = os.open(f"{self._root}/{_CURSOR}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            written = os.pread(descriptor, 20, 0)
            cursor = int(written) if written else int.from_bytes(os.urandom(4), "big")
            for position in range(cursor, cursor + span):
                port = first + position % span
                if port not in self._held and self._take(port):
                    os.pwrite(descriptor, b"%020d" % (position + 1), 0)
                    return port
        finally:
            os.close(descriptor)
        raise NoPortLeft(f"no port between {first} and {last} is free")


def _is_free(port: int) -> bool:
    # With SO_REUSEADDR what the last process left in TIME_WAIT does not count; a listener does.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - only tried, never listened on
        except OSError:
            return False
    return True


def _ephemeral() -> tuple[int, int]:
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            low, high = file.read().split()
    except FileNotFoundError:
        return 32_768, 60_999
    return int(low), int(high)
