"""Clients that call without a pause and count what fails."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.support.plain_http import plain_client


@dataclass
class Calls:
    """answered: by status. broken: calls that ended in an error of the connection."""

    answered: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.answered.total() + len(self.broken)

    @property
    def failed(self) -> int:
        return self.count - self.answered[200]


@asynccontextmanager
async def callers(base_url: str, host: str, *, clients: int = 8, method: str = "GET") -> AsyncIterator[Calls]:
    """`clients` keep-alive clients call one after the other until the block ends; the last calls finish."""
    calls, stop = Calls(), asyncio.Event()

    async def call() -> None:
        async with plain_client(base_url=base_url, timeout=30) as client:
            while not stop.is_set():
                try:
                    response = await client.request(method, "/", headers={"host": host}, content=b"x" * 100)
                    calls.answered[response.status_code] += 1
                except httpx.HTTPError as error:
                    calls.broken.append(repr(error))

    tasks = [asyncio.ensure_future(call()) for _ in range(clients)]
    try:
        yield calls
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def many_calls(port: int, host: str, *, total: int, clients: int = 8) -> Calls:
    """`total` GETs by keep-alive clients that cost so little that thousands a second are made."""
    calls, left = Calls(), iter(range(total))
    request = f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()

    async def call() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            try:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = re.findall(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length))
                calls.answered[int(head.split(b" ", 2)[1])] += 1
            except (OSError, asyncio.IncompleteReadError) as error:
                calls.broken.append(repr(error))
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    await asyncio.gather(*(call() for _ in range(clients)))
    return calls
