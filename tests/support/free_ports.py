"""Ports for what a test starts: for as long as it needs one, nobody else on this machine is given it.

They come from above those that the kernel gives to outgoing connections, where neither a platform nor a
replica looks for one, and each is held by an abstract socket of its name, which no second process can bind.
So tests that run side by side never agree on a port, not even while its program is being started again.
"""

import os
import random
import socket
from collections import deque
from pathlib import Path

from libs.supervisor import ports

_FEWEST = 1000
_HELD = 200
"""The newest ones. By the time that so many others were asked for, a test has ended."""

_held: deque[int] = deque()
"""File descriptors of the sockets. The process closes them by its end."""
_given: set[int] = set()
"""To this process, since there was last none that had not been given."""


def free_ports(number: int) -> list[int]:
    """As many different ones. Only the newest of them are held."""
    return [free_port() for _ in range(number)]


def free_port() -> int:
    """None that this process was given before, as long as there are others."""
    highest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[1])
    above = range(highest_outgoing + 1, 65_536)
    if len(above) < _FEWEST:
        return ports.pick()
    # Hypothesis sets the seed of the common source of chance, in every process to the same.
    shuffled = random.SystemRandom().sample(above, len(above))
    for port in (port for port in shuffled if port not in _given):
        if _take(port):
            _given.add(port)
            return port
    for port in shuffled:
        if _take(port):
            _given.clear()
            _given.add(port)
            return port
    raise OSError("every port above the outgoing ones is taken")


def _take(port: int) -> bool:
    """Whether it is ours from now on."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0specstream-test-port-{port}")
    except OSError:
        name.close()
        return False
    if not ports.is_free(port):
        name.close()
        return False
    _held.append(name.detach())
    if len(_held) > _HELD:
        os.close(_held.popleft())
    return True
