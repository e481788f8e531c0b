"""Whether a program does its work yet, asked over the network. Waiting ends with it or is cancelled."""

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from libs.supervisor.ports import HOST

INTERVAL_S = 0.05
PATIENT_INTERVAL_S = 1.0
_ANSWER_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Health:
    """What `GET /v1/health` says."""

    is_ready: bool
    waiting_for: str = ""
    """What is waited for, in words; empty when it is ready."""
    processes: Mapping[str, int] = field(default_factory=dict)
    """The pid of each service that the api has heard; empty where it does not tell."""

    def of(self, running: Mapping[str, int], names: Collection[str] | None = None) -> Self:
        """Of the processes that run now, by their names: what one said that has ended since is nothing.

        names: of all that are to run here; a copy of a service that runs elsewhere is none of them.
        """
        told = {name: pid for name, pid in self.processes.items() if names is None or name in names}
        others = [name for name, pid in told.items() if running.get(name) != pid]
        if not self.is_ready or not others:
            return self
        return replace(self, is_ready=False, waiting_for=", ".join(others))


async def wait_for_nats(port: int) -> None:
    """Return when the server greets clients: it opens its port after JetStream has recovered its streams."""
    while not await _greets(port):  # noqa: ASYNC110  another process decides when
        await asyncio.sleep(INTERVAL_S)


async def _greets(port: int) -> bool:
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                return (await reader.readline()).startswith(b"INFO ")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def read_health(port: int) -> Health:
    """One look at the api's health; an api that does not answer is not ready."""
    request = f"GET /v1/health?detail=true HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(request.encode())
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return Health(is_ready=False, waiting_for="api")
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status == [b"200"]:
        return Health(is_ready=True, processes=_processes(body))
    return Health(is_ready=False, waiting_for=_not_ready(body) or "api")


def _processes(body: bytes) -> Mapping[str, int]:
    try:
        content: Any = json.loads(body)
        return {str(name): int(pid) for name, pid in content["processes"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _not_ready(body: bytes) -> str:
    try:
        content: Any = json.loads(body)
        return ", ".join(str(name) for name in content["notReady"])
    except (ValueError, KeyError, TypeError):
        return ""
