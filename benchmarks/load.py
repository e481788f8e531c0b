"""A load generator and a replica that cost little, each run in a process of its own.

python -m benchmarks.load call PORT SECONDS CONNECTIONS [PER_SECOND]
    asks the hosts on its input, one in each line, in turns, at the most so many times a second, and prints
    requests per second and latencies
python -m benchmarks.load serve PORT
    answers every request with `ok!`
"""

import asyncio
import json
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle
from time import perf_counter

import uvloop

BODY = b"ok!"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n" + BODY


class Caller(asyncio.Protocol):
    """One keep-alive connection: the next request goes out when the answer to the last one is complete.

    requests: of all connections. pause_s: from one request of this connection to the next, at the least.
    """

    def __init__(
        self, requests: Iterator[bytes], until: float, latencies: list[float], pause_s: float
    ) -> None:
        self._requests = requests
        self._until = until
        self._pause_s = pause_s
        self._latencies = latencies
        self._received = b""
        self._sent_at = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent_at = perf_counter()
        self._transport.write(next(self._requests))

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
        wait_s = max(0.0, self._sent_at + self._pause_s - now)
        if now + wait_s >= self._until:
            self._transport.close()
            self.done.set_result(None)
        elif wait_s:
            asyncio.get_running_loop().call_later(wait_s, self._send)
        else:
            self._send()

    def connection_lost(self, _) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"closed: {self._received[:200]!r}"))


class Server(asyncio.Protocol):
    def connection_made(self, transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(ANSWER)


async def call(
    hosts: Sequence[str], port: int, seconds: float, connections: int, per_second: float = math.inf
) -> dict[str, float]:
    """Requests, how many per second, and the latencies p50 and p99 in milliseconds."""
    loop = asyncio.get_running_loop()
    requests = cycle(
        [f"GET /predict HTTP/1.1\r\nhost: {h}\r\nuser-agent: load\r\n\r\n".encode() for h in hosts]
    )
    latencies: list[float] = []
    start = perf_counter()
    callers = [
        (
            await loop.create_connection(
                lambda: Caller(requests, start + seconds, latencies, connections / per_second),
                "127.0.0.1",
                port,
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
        case ["call", port, seconds, connections, *per_second]:
            hosts = sys.stdin.read().split()
            print(
                json.dumps(
                    uvloop.run(
                        call(hosts, int(port), float(seconds), int(connections), *map(float, per_second))
                    )
                )
            )
        case ["serve", port]:
            uvloop.run(serve(int(port)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
