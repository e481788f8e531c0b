"""The ports of a home. Two are given; the others are free ones, chosen once and kept over restarts."""

import errno
import json
import random
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from libs.common import loopback
from libs.common.services import MOST_ROUTERS, copy_name, number_of
from libs.supervisor.errors import CannotStart
from libs.supervisor.home import Home, write_public

HOST = loopback.IPV4

EDGE = "edge"

MORE_EDGES = tuple(copy_name(EDGE, number) for number in range(2, MOST_ROUTERS + 1))

HOLDERS = {
    "api": "api",
    EDGE: "envoy",
    "nats": "nats",
    **{edge: copy_name("envoy", number_of(edge)) for edge in MORE_EDGES},
}
"""Which program listens on each port."""

FIXED = {
    "api": "SPECSTREAM_API_PORT",
    EDGE: "SPECSTREAM_EDGE_PORT",
    **dict.fromkeys(MORE_EDGES, "SPECSTREAM_MORE_EDGE_PORTS"),
}
"""The ports that a person chooses, each with its variable."""

_LOWEST = 10240


@dataclass(frozen=True, slots=True)
class Ports:
    api: int
    edge: int
    nats: int
    more_edges: tuple[int, ...] = ()
    """Of the second edge, the third."""

    @property
    def edges(self) -> tuple[int, ...]:
        return (self.edge, *self.more_edges)

    @property
    def by_name(self) -> dict[str, int]:
        more = dict(zip(MORE_EDGES, self.more_edges, strict=False))
        return {"api": self.api, EDGE: self.edge, "nats": self.nats, **more}


def choose(
    fixed: Mapping[str, int],
    *,
    remembered: Mapping[str, int],
    living: Collection[str],
    is_free: Callable[[int], bool],
    pick: Callable[[], int],
) -> Ports:
    """Every port of a home. `fixed` are those that a person chose: of further edges as many as there are to
    be. `living` are the home's own programs that run already.

    | port     | its program lives | free | answer                      |
    |----------|-------------------|------|-----------------------------|
    | fixed    | yes               | -    | as given                    |
    | fixed    | no                | yes  | as given                    |
    | fixed    | no                | no   | CannotStart                 |
    | kept     | yes               | -    | as remembered               |
    | kept     | no                | yes  | as remembered               |
    | kept     | no                | no   | another one                 |

    A fixed port that changed while its program lives must be free too: the program is started anew on it.
    """
    chosen: dict[str, int] = {}
    problems = []
    for name, port in fixed.items():
        variable = FIXED[name]
        is_ours = HOLDERS[name] in living and remembered.get(name, port) == port
        if not is_ours and not is_free(port):
            problems.append(f"port {port} is in use by another program; choose another one with {variable}")
        chosen[name] = port
    if problems:
        raise CannotStart("\n".join(problems))
    for name, holder in HOLDERS.items():
        if name in FIXED:
            continue
        port = remembered.get(name, 0)
        is_usable = 0 < port <= 65535 and port not in chosen.values()
        if not (is_usable and (holder in living or is_free(port))):
            port = pick()
            while port in chosen.values():
                port = pick()
        chosen[name] = port
    more = tuple(chosen.pop(name) for name in MORE_EDGES if name in chosen)
    return Ports(**chosen, more_edges=more)


def load(home: Home) -> dict[str, int]:
    """The ports of the last start; what is missing or unreadable is left out."""
    try:
        content = json.loads(home.ports.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: port for name, port in content.items() if name in HOLDERS and isinstance(port, int)}


def save(home: Home, ports: Ports) -> None:
    write_public(home.ports, json.dumps(ports.by_name) + "\n")
    # Of an earlier version, whose inner addresses were ports.
    (home.path / "run" / "internal-ports.json").unlink(missing_ok=True)


def is_free(port: int) -> bool:
    """Whether we could listen there, at all of `localhost`. Connections that are just closing do not count.

    Raises CannotStart when this user may not listen there at all.
    """
    return all(_is_free(host, port) for host in loopback.hosts())


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if host == loopback.IPV6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise CannotStart(f"cannot listen on port {port}: {error.strerror}") from error
    return True


def pick() -> int:
    """A free port below those that the kernel gives to outgoing connections: one of theirs could be taken
    by any client while our program is being started again."""
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = list(range(_LOWEST, lowest_outgoing))
    random.shuffle(candidates)
    for port in candidates:
        if is_free(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
