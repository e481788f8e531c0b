"""A tiny HTTP/1.1 server that plays a replica: it answers with its name and what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

CRLF = b"\r\n"


@dataclass
class Asked:
    """One request. headers: names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """Listens on a free port. `behaviour` answers a request by writing to the connection; the default echoes.

    asked: every request so far.
    """

    name: str
    behaviour: "Callable[[Upstream, Asked, asyncio.StreamWriter], Awaitable[None]] | None" = None
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _serving: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def die(self) -> None:
        """As a killed process does: no port, and every connection reset."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def end(self) -> None:
        """It dies, and nothing of it is left in the loop."""
        await self.die()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._writers.add(writer)
        self._serving.add(serving)
        try:
            while asked := await _read(reader):
                self.asked.append(asked)
                await (self.behaviour or echo)(self, asked, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has left
        except asyncio.CancelledError:
            pass  # it has died
        finally:
            self._writers.discard(writer)
            self._serving.discard(serving)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = await reader.readuntil(CRLF + CRLF)
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int((await reader.readuntil(CRLF)).strip(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)


def plain(status: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + CRLF + CRLF + body


async def echo(upstream: Upstream, asked: Asked, writer: asyncio.StreamWriter) -> None:
    body = {"name": upstream.name, "path": asked.path, "headers": asked.headers, "size": len(asked.body)}
    writer.write(plain("200 OK", json.dumps(body).encode(), {"content-type": "application/json"}))


@asynccontextmanager
async def upstreams(*names: str) -> AsyncIterator[list[Upstream]]:
    started = [await Upstream(name).start() for name in names]
    try:
        yield started
    finally:
        for upstream in started:
            await upstream.end()
