"""The listening sockets that programs are given, and that nobody else can have while a program is away."""

import socket
from collections.abc import Mapping

from libs.supervisor import api_port, metrics_ports
from libs.supervisor.api_port import ApiPort
from libs.supervisor.home import Home
from libs.supervisor.metrics_ports import MetricsPorts
from libs.supervisor.programs import API, EVERY_COPY
from libs.supervisor.settings import SupervisorSettings


class Listeners:
    def __init__(self, settings: SupervisorSettings, home: Home) -> None:
        read = EVERY_COPY if settings.metrics == "prometheus" else ()
        self._api = ApiPort(settings.api_port)
        self._metrics = MetricsPorts(home.path / "run", frozenset(read))

    def take(self, living: Mapping[str, int]) -> None:
        """living: the pids of the programs that go on, by name. Raises CannotStart."""
        self._api.take(living.get(API))
        self._metrics.adopt(living)

    def of(self, program: str) -> Mapping[str, socket.socket | None]:
        """By the variable that tells the program of it. Raises OSError."""
        return {
            api_port.VARIABLE: self._api.listener if program == API else None,
            metrics_ports.VARIABLE: self._metrics.listener(program),
        }

    def take_back(self, program: str) -> None:
        """At once when a program has ended that had its sockets alone."""
        if program == API:
            self._api.take_back()
        self._metrics.listener(program)

    def close(self) -> None:
        self._api.close()
        self._metrics.close()
