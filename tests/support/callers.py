"""Clients that call without a pause and count what fails."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx


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
async def callers(
    base_url: str, host: str, *, clients: int = 8, method: str = "POST"
) -> AsyncIterator[Calls]:
    """`clients` keep-alive clients call one after the other until the block ends; the last calls finish."""
    calls, stop = Calls(), asyncio.Event()

    async def call() -> None:
        async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=30) as client:
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
