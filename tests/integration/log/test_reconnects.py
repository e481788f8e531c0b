"""What the client of a broker leaves behind when it connects again and again."""

import asyncio
import gc
import json
import sys

import nats
import pytest

from tests.support.polling import eventually

SILENT = 3
INTRODUCTION = {"server_id": "x", "version": "2.15.1", "max_payload": 1024, "headers": True}


class Halting:
    """A broker that ends its first connection, and says nothing on some after it."""

    def __init__(self) -> None:
        self.accepted = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        number = self.accepted
        try:
            if 1 < number <= 1 + SILENT:
                await reader.read()
                return
            writer.write(f"INFO {json.dumps(INTRODUCTION)}\r\n".encode())
            while line := await reader.readline():
                if line.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
                    if number == 1:
                        return
        except ConnectionError:
            pass  # the client has given it up
        finally:
            writer.close()


async def test_a_connection_that_is_given_up_is_closed(monkeypatch: pytest.MonkeyPatch):
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: unraisable.append(told.exc_value))
    broker = Halting()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)

    async def on_error(_: Exception) -> None:
        """Each connection that it gives up is one."""

    async with server:
        client = await nats.connect(
            f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            connect_timeout=0.2,
            reconnect_time_wait=0.01,
            max_reconnect_attempts=-1,
            error_cb=on_error,
        )
        await eventually(lambda: broker.accepted >= 2 + SILENT and client.is_connected)
        await client.close()
    gc.collect()
    assert unraisable == []
