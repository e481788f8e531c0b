"""The listening sockets of metrics: the supervisor has each open for as long as the platform is up, and each
process of that name in turn is given it.

So while a process is being started again nobody else can listen there, and be sent the token of the metrics.
"""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from libs.common import scrape_targets
from libs.supervisor.api_port import socket_of
from libs.supervisor.ports import HOST

VARIABLE: Final = "SPECSTREAM_METRICS_SOCKET"
"""Tells a process the number of the descriptor."""
_BACKLOG: Final = 16


class MetricsPorts:
    """run: where the processes list their ports. names: of all processes that have one."""

    def __init__(self, run: Path, names: frozenset[str]) -> None:
        self._run = run
        self._names = names
        self._held: dict[str, socket.socket] = {}

    def adopt(self, pids: Mapping[str, int]) -> None:
        """The processes that go on, by name; each was given its socket by an earlier supervisor."""
        for name, pid in pids.items():
            if name in self._names and (given := socket_of(pid, VARIABLE)) is not None:
                self._held[name] = given

    def listener(self, name: str) -> socket.socket | None:
        """None where it has none, or none can be had: then the process makes one by itself."""
        if name in self._names and name not in self._held:
            for port in (scrape_targets.earlier_port(self._run, name), 0):
                try:
                    self._held[name] = socket.create_server((HOST, port), backlog=_BACKLOG)
                except OSError:  # somebody else has it by now
                    continue
                break
        return self._held.get(name)

    def close(self) -> None:
        for held in self._held.values():
            held.close()
