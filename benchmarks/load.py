"""A load generator and a replica that cost little, each run in a process of its own.

python -m benchmarks.load call HOST PORT SECONDS CONNECTIONS    prints requests per second and latencies
python -m benchmarks.load serve PORT                            answers every request with `ok!`
"""

import asyncio
import json
import statistics
import sys
from time import perf_counter

import uvloop

BODY = b"ok!"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n" + BODY


class Caller(asyncio.Protocol):
    """One keep-alive connection: the next request goes out when the answer to the last one is complete."""

    def __init__(self, request: bytes, until: float, latencies: list[float]) -> None:
        self._request = request
        self._until = until
        self._latencies = latencies
        self._received = b""
        self._sent_at = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent_at = perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n\r\n" + BODY):
            return
        if not self._received.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(f"not answered: {self._received[:200]!r}"))
            self._transport.close()
            return
        self._received = b""
        now = perf_counter()
        self._latencies.append(now - self._sent_at)
        if now < self._until:
            self._send()
        else:
            self._transport.close()
            self.done.set_result(None)

    def connection_lost(self, _) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"closed: {self._received[:200]!r}"))


class Server(asyncio.Protocol):
    def connection_made(self, transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(ANSWER)


async def call(host: str, port: int, seconds: float, connections: int) -> dict[str, float]:
    """Requests per second, and the latencies p50 and p99 in milliseconds."""
    loop = asyncio.get_running_loop()
    request = f"GET /predict HTTP/1.1\r\nhost: {host}\r\nuser-agent: load\r\n\r\n".encode()
    latencies: list[float] = []
    start = perf_counter()
    callers = [
        (
            await loop.create_connection(
                lambda: Caller(request, start + seconds, latencies), "127.0.0.1", port
            )
        )[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(caller.done for caller in callers))
    quantiles = statistics.quantiles(latencies, n=100)
    return {
        "requests": len(latencies),
        "per_second": len(latencies) / (perf_counter() - start),
        "p50_ms": quantiles[49] * 1e3,
        "p99_ms": quantiles[98] * 1e3,
    }


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    match sys.argv[1:]:
        case ["call", host, port, seconds, connections]:
            print(json.dumps(uvloop.run(call(host, int(port), float(seconds), int(connections)))))
        case ["serve", port]:
            uvloop.run(serve(int(port)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
