"""Metrics for who comes to read them: `/metrics` on a loopback port of each process, with a token.

Replicas can reach the port, and may neither read what is there nor keep the process busy: few connections,
short requests, and nothing is computed before the token was seen.
"""

import asyncio
import hmac
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from libs.common.durable import replace_file
from libs.common.scrape_targets import HOST, closing_lock, earlier_port, list_target

TOKEN: Final = "metrics-token"  # noqa: S105 - the file's name
HEAD_LIMIT: Final = 8 * 1024
ANSWERED_WITHIN_S: Final = 5.0
MOST_CONNECTIONS: Final = 16

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@asynccontextmanager
async def served(
    service: str, run: Path, registry: Any, *, process: str = "", given: int | None = None
) -> AsyncIterator[int]:
    """For as long as the block runs; its port. run: where the token and the list of targets lie. process: by
    which name it is told from other copies of its service; empty for the service's. given: the descriptor of
    a socket that listens already."""
    page = _Page(token_in(run), registry)
    server = await _listening(page, given, earlier_port(run, process or service) if given is None else 0)
    port = server.sockets[0].getsockname()[1]
    list_target(run, service, port, process=process)
    async with server:
        yield port


async def _listening(page: "_Page", given: int | None, port: int) -> asyncio.Server:
    if given is not None:
        os.set_inheritable(given, False)
        return await asyncio.start_server(page.answer, sock=socket.socket(fileno=given), limit=HEAD_LIMIT)
    try:
        return await asyncio.start_server(page.answer, HOST, port, limit=HEAD_LIMIT)
    except OSError:  # somebody else has it by now
        return await asyncio.start_server(page.answer, HOST, 0, limit=HEAD_LIMIT)


class _Page:
    def __init__(self, token: str, registry: Any) -> None:
        self._token = token.encode()
        self._registry = registry
        self._unasked: dict[asyncio.StreamWriter, None] = {}
        """The connections without a whole request, in the order in which they came."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._make_room()
        self._unasked[writer] = None
        try:
            async with asyncio.timeout(ANSWERED_WITHIN_S):
                head = await reader.readuntil(b"\r\n\r\n")
                self._unasked.pop(writer, None)
                writer.write(self._answer(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Whoever asks so gets no answer, and whoever does not read it in time no rest of it.
            writer.transport.abort()
        finally:
            self._unasked.pop(writer, None)

    def _make_room(self) -> None:
        """Who reads metrics asks as soon as he is connected: so who has not asked for longest goes first."""
        if len(self._unasked) >= MOST_CONNECTIONS:
            longest = next(iter(self._unasked))
            del self._unasked[longest]
            longest.transport.abort()

    def _answer(self, head: bytes) -> bytes:
        request, *lines = head.split(b"\r\n")
        method, _, rest = request.partition(b" ")
        given = [
            line.partition(b":")[2].strip() for line in lines if line.lower().startswith(b"authorization:")
        ]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
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
