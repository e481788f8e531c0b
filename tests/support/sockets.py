"""What the processes of a platform listen on, and which of them is at the end of a connection, as the kernel
tells."""

import socket
from collections.abc import Iterable
from pathlib import Path

LISTEN = "0A"
"""The state of a TCP socket in /proc/net/tcp."""
ACCEPTS = 0x10000
"""The flag of a unix socket that listens in /proc/net/unix."""


def tcp_doors(pids: Iterable[int]) -> set[tuple[str, int]]:
    """Addresses and ports that any of these processes listens on."""
    owned, doors = _sockets(pids), set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and fields[9] in owned:
                address, port = fields[1].split(":")
                doors.add((_dotted(address), int(port, 16)))
    return doors


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
    of_both = [f"{_little_endian(host)}:{port:04X}" for host, port in (end, other_end)]
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    inode = next(fields[9] for fields in lines if fields[1:3] == of_both)
    return next(pid for pid in pids if inode in _sockets([pid]))


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


def _little_endian(address: str) -> str:
    """As the kernel of a machine of that order writes it."""
    return socket.inet_aton(address)[::-1].hex().upper()


def _dotted(address: str) -> str:
    if len(address) != 8:
        return "::1" if address.endswith("01000000") else f"ipv6 {address}"
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
