"""A client that keeps calling an endpoint and remembers every call."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

from libs.common.ids import new_id
from tests.support.plain_http import plain_client
from tests.support.polling import eventually

PAUSE_S = 0.02
"""Between two calls of a lane: often enough to fall into every hand-over."""


@dataclass(frozen=True, slots=True)
class Call:
    """sent, ended: by the loop's clock. status: None where the connection broke, which `error` then tells."""

    method: str
    sent: float
    ended: float
    status: int | None
    replica_id: str | None = None
    spec_id: str | None = None
    error_code: str | None = None
    error: str | None = None

    @property
    def is_served(self) -> bool:
        return self.status == 200


@dataclass
class Caller:
    """Calls an endpoint from `async with` to its end, GET and POST by turns of its lanes.

    The connection goes to the edge port and the host into the header: no resolver needs to know it. The
    last call of each lane is let finish. allows_repeats: whether a POST may be tried elsewhere that a replica
    has died over; the caller of one that may not hears of that death.
    """

    endpoint: str
    path: str = "/"
    lanes: int = 2
    timeout_s: float = 30.0
    allows_repeats: bool = False
    calls: list[Call] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _served_lanes: set[int] = field(default_factory=set)
    _judged_from: float = 0.0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.endpoint.rpartition(':')[2]}"

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._lane(lane, "GET" if lane % 2 == 0 else "POST"))
            for lane in range(self.lanes)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    @property
    def served(self) -> list[Call]:
        return [call for call in self.calls if call.is_served]

    async def until_served(self) -> None:
        """Each lane has been served once, so every call has to be served from now on. A deployment is ready
        a moment before the router has told Envoy so, and one lane may hear of it before another."""
        await eventually(
            lambda: len(self._served_lanes) == self.lanes,
            because=f"not every lane is served at {self.endpoint}{self.path}",
        )
        self._judged_from = asyncio.get_running_loop().time()

    def failures(self) -> list[Call]:
        """What was not answered 200 of what was sent since `until_served`, or of everything without it."""
        return [call for call in self.calls if not call.is_served and call.sent >= self._judged_from]

    async def once(self, path: str | None = None, **how: object) -> httpx.Response:
        """One call apart from the record, on a connection of its own."""
        async with plain_client(timeout=self.timeout_s) as http:
            headers = {"host": self.endpoint, **how.pop("headers", {})}
            return await http.request(
                how.pop("method", "GET"), f"{self.base_url}{path or self.path}", headers=headers, **how
            )

    async def _lane(self, lane: int, method: str) -> None:
        async with plain_client(base_url=self.base_url, timeout=self.timeout_s) as http:
            while not self._stop.is_set():
                call = await self._call(http, method)
                self.calls.append(call)
                if call.is_served:
                    self._served_lanes.add(lane)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), PAUSE_S)

    async def _call(self, http: httpx.AsyncClient, method: str) -> Call:
        clock = asyncio.get_running_loop().time
        headers = {"host": self.endpoint}
        if method == "POST" and self.allows_repeats:
            headers["idempotency-key"] = new_id()
        sent = clock()
        try:
            response = await http.request(
                method, self.path, headers=headers, content=b"x" if method == "POST" else None
            )
        except httpx.HTTPError as error:
            return Call(method, sent, clock(), None, error=repr(error))
        code = None
        if response.status_code != 200:
            try:
                code = str(response.json().get("error_code"))
            except ValueError:
                code = response.text[:200]
        return Call(
            method,
            sent,
            clock(),
            response.status_code,
            response.headers.get("x-specstream-replica"),
            response.headers.get("x-specstream-spec"),
            code,
        )
