"""Metrics for who comes to read them: `/metrics` on a loopback port of each process, with a token.

Replicas can reach the port, and may neither read what is there nor keep the process busy: few connections,
short requests, and nothing is computed before the token was seen.
"""

import asyncio
import fcntl
import hmac
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

from libs.common.durable import replace_file

HOST: Final = "127.0.0.1"
TARGETS: Final = "prometheus-targets.json"
TOKEN: Final = "metrics-token"  # noqa: S105 - the file's name
PID: Final = "__pid__"
"""A label of a target; Prometheus keeps none that begins so."""
HEAD_LIMIT: Final = 8 * 1024
ANSWERED_WITHIN_S: Final = 5.0
MOST_CONNECTIONS: Final = 16

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@asynccontextmanager
async def served(service: str, run: Path, registry: Any) -> AsyncIterator[int]:
    """For as long as the block runs; its port. run: where the token and the list of targets lie."""
    page = _Page(token_in(run), registry)
    port = _earlier_port(run, service)
    try:
        server = await asyncio.start_server(page.answer, HOST, port, limit=HEAD_LIMIT)
    except OSError:  # somebody else has it by now
        server = await asyncio.start_server(page.answer, HOST, 0, limit=HEAD_LIMIT)
    port = server.sockets[0].getsockname()[1]
    list_target(run, service, port)
    async with server:
        yield port


class _Page:
    def __init__(self, token: str, registry: Any) -> None:
        self._authorization = f"Bearer {token}".encode()
        self._registry = registry
        self._open = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MOST_CONNECTIONS:
                async with asyncio.timeout(ANSWERED_WITHIN_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks so gets no answer
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        request, *lines = head.split(b"\r\n")
        method, _, rest = request.partition(b" ")
        given = [
            line.partition(b":")[2].strip() for line in lines if line.lower().startswith(b"authorization:")
        ]
        if len(given) != 1 or not hmac.compare_digest(given[0], self._authorization):
            return _response("401 Unauthorized", b"", "WWW-Authenticate: Bearer\r\n")
        if rest.partition(b" ")[0].partition(b"?")[0] != b"/metrics":
            return _response("404 Not Found", b"")
        if method != b"GET":
            return _response("405 Method Not Allowed", b"", "Allow: GET\r\n")
        from prometheus_client import generate_latest  # noqa: PLC0415 - only where somebody asks

        return _response("200 OK", generate_latest(self._registry), f"Content-Type: {_TYPE}\r\n")


def _response(status: str, body: bytes, headers: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\nConnection: close\r\n"
    return f"HTTP/1.1 {status}\r\n{headers}{length}\r\n".encode() + body


def token_in(run: Path) -> str:
    """The token of the home, made by whoever comes first."""
    path = run / TOKEN
    with closing_lock(run):
        if not path.exists():
            replace_file(str(path), secrets.token_urlsafe(32).encode())
        return path.read_text().strip()


def list_target(run: Path, service: str, port: int) -> None:
    """Have the service at this port in the list, in place of where it was before, and beside other copies of
    it that run."""
    with closing_lock(run):
        others = [each for each in _targets(run) if _service_of(each) != service or _is_another_copy(each)]
        own = {"targets": [f"{HOST}:{port}"], "labels": {"service": service, PID: str(os.getpid())}}
        listed = sorted([*others, own], key=_service_of)
        replace_file(str(run / TARGETS), (json.dumps(listed, indent=2) + "\n").encode())


def closing_lock(run: Path) -> Any:
    """Held while the block runs, by one process of the home."""
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = (run / f"{TARGETS}.lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock.fileno(), False)
    return closing(lock)


def _targets(run: Path) -> list[dict[str, Any]]:
    try:
        listed = json.loads((run / TARGETS).read_bytes())
    except (FileNotFoundError, ValueError):
        return []
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _service_of(target: dict[str, Any]) -> str:
    return str(target.get("labels", {}).get("service", ""))


def _earlier_port(run: Path, service: str) -> int:
    """Where it was before, so that who reads the list seldom finds nobody; 0 for any."""
    with closing_lock(run):
        for each in _targets(run):
            if _service_of(each) == service and not _is_another_copy(each):
                return _port_of(each)
    return 0


def _port_of(target: dict[str, Any]) -> int:
    _, _, port = str(target["targets"][0]).rpartition(":")
    return int(port) if port.isdecimal() else 0


def _is_another_copy(target: dict[str, Any]) -> bool:
    """Whether another process than this one is still there. Its number may be somebody else's by now, so its
    port has to be taken as well."""
    pid = str(target.get("labels", {}).get(PID, ""))
    if not pid.isdecimal() or int(pid) == os.getpid() or not Path(f"/proc/{pid}").exists():
        return False
    with closing(socket.socket()) as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind((HOST, _port_of(target)))
        except OSError:
            return True
    return False
