"""What the processes of a platform listen on, and which of them is at the end of a connection, as the kernel
tells."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

LISTEN = "0A"
"""The state of a TCP socket in /proc/net/tcp."""
ACCEPTS = 0x10000
"""The flag of a unix socket that listens in /proc/net/unix."""


def tcp_doors(pids: Iterable[int]) -> set[tuple[str, int]]:
    """Addresses and ports that any of these processes listens on."""
    owned = _sockets(pids)
    return {one.end for one in _tcp() if one.state == LISTEN and one.inode in owned}


def unix_doors(pids: Iterable[int]) -> set[str]:
    """Names of the listening unix sockets, as they were bound."""
    owned, doors = _sockets(pids), set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if int(fields[3], 16) & ACCEPTS and fields[6] in owned:
            doors.add(fields[7] if len(fields) > 7 else "")
    return doors


def asker(end: tuple[str, int], other_end: tuple[str, int], pids: Iterable[int]) -> int:
    """Which of these processes has the connection over IPv4 between its `end` and the other.

    Both count: the kernel gives one port to several connections that lead to different servers.
    """
    inodes = {one.inode for one in _tcp() if (one.end, one.other_end) == (end, other_end)}
    for pid in pids:
        if inodes & _sockets([pid]):
            return pid
    raise AssertionError(f"none of {pids} has the connection between {end} and {other_end}")


class _Tcp(NamedTuple):
    """A TCP socket. end, other_end: address and port. inode: by which its process has it."""

    end: tuple[str, int]
    other_end: tuple[str, int]
    state: str
    inode: str


def _tcp() -> Iterator[_Tcp]:
    """All of the machine."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            yield _Tcp(_end(fields[1]), _end(fields[2]), fields[3], fields[9])


def _sockets(pids: Iterable[int]) -> set[str]:
    """Inodes of all sockets that these processes have open."""
    links = (_target(link) for pid in pids for link in Path(f"/proc/{pid}/fd").glob("*"))
    return {link[8:-1] for link in links if link.startswith("socket:[")}


def _target(link: Path) -> str:
    """Empty for what was closed meanwhile, which says nothing of the process's other files."""
    try:
        return str(link.readlink())
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _end(written: str) -> tuple[str, int]:
    address, port = written.split(":")
    return _dotted(address), int(port, 16)


def _dotted(address: str) -> str:
    if len(address) != 8:
        return "::1" if address.endswith("01000000") else f"ipv6 {address}"
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
