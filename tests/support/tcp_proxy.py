"""A TCP proxy that can lose what the server answers, or cut every connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TcpProxy:
    """port: where it listens. loses_answers: while true, nothing from the server reaches a client."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._is_stopped = False
        self.loses_answers = False
        self.lost_bytes = 0

    @property
    def port(self) -> int:
        assert self._server
        return self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def cut(self) -> None:
        """End every connection; new ones are taken."""
        for writer in tuple(self._writers):
            writer.close()

    async def stop(self) -> None:
        assert self._server
        self._is_stopped = True
        self._server.close()
        self.cut()
        for pump in tuple(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.close()
            return
        if self._is_stopped:
            writer.close()
            server_writer.close()
            return
        self._writers |= {writer, server_writer}
        for source, target, is_answer in ((reader, server_writer, False), (server_reader, writer, True)):
            pump = asyncio.ensure_future(self._pump(source, target, is_answer=is_answer))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        try:
            while chunk := await source.read(65536):
                if is_answer and self.loses_answers:
                    self.lost_bytes += len(chunk)
                    continue
                target.write(chunk)
                await target.drain()
        except ConnectionError:
            pass  # the other side is gone, and so is this one below
        finally:
            self._writers.discard(target)
            target.close()


@asynccontextmanager
async def proxied(to_port: int) -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy(to_port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
