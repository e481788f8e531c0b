"""What the router has published of requests, added up as a reader adds it up; and a replica to count."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from libs.common.metrics.port import MemorySamples, Received
from libs.common.metrics.samples import Batch, Kind, RequestTotals
from tests.support.deployments import Storyteller
from tests.support.polling import eventually
from tests.support.upstream import CRLF, Asked, Upstream, plain

FIELDS = ("answered", "unanswered", "server_errors", "duration_us")


@dataclass
class Published:
    """All batches so far. falls: what became less under the same start of an Envoy, which must not be."""

    samples: MemorySamples
    requests: list[Batch] = field(default_factory=list)
    in_flight: list[Batch] = field(default_factory=list)
    falls: list[tuple[RequestTotals, RequestTotals]] = field(default_factory=list)
    _newest: dict[tuple[str, str], RequestTotals] = field(default_factory=dict)
    _flying: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        async for given in self.samples.follow(Kind.REQUESTS, Kind.IN_FLIGHT, since=0):
            if isinstance(given, Received):
                self._take(given.batch)

    def _take(self, batch: Batch) -> None:
        if batch.kind is Kind.IN_FLIGHT:
            self.in_flight.append(batch)
            if batch.is_whole:
                self._flying = {}
            self._flying |= {one.deployment_id: one.in_flight for one in batch.in_flight}
            return
        self.requests.append(batch)
        for totals in batch.requests:
            key = (batch.counter_id, totals.deployment_id)
            before = self._newest.get(key, RequestTotals(deployment_id=totals.deployment_id))
            if any(getattr(totals, name) < getattr(before, name) for name in FIELDS):
                self.falls.append((before, totals))
            self._newest[key] = totals

    def of(self, deployment_id: str) -> dict[str, int]:
        """Summed over all starts of Envoy."""
        totals = [one for (_, id_), one in self._newest.items() if id_ == deployment_id]
        return {name: sum(getattr(one, name) for one in totals) for name in FIELDS}

    def flying(self, deployment_id: str) -> float | None:
        return self._flying.get(deployment_id)

    @property
    def starts(self) -> set[str]:
        return {counter_id for counter_id, _ in self._newest}


async def until_cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def lasting(seconds: float | None = None) -> None:
    """As long as a replica takes for its answer. None: until it is cut."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


async def play(_: Upstream, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Does as the path asks."""
    match asked.path.strip("/"):
        case "error":
            writer.write(plain("503 Service Unavailable", b"busy"))
        case "missing":
            writer.write(plain("404 Not Found", b"?"))
        case "break":
            writer.transport.abort()
        case "half":
            writer.write(b"HTTP/1.1 200 OK" + CRLF + b"content-length: 100" + CRLF + CRLF + b"half")
            await writer.drain()
            await lasting(0.3)
            writer.transport.abort()
        case "never":
            await lasting()
        case "slow":
            await lasting(0.25)
            writer.write(plain("200 OK", b"slow"))
        case "early":
            writer.write(b"HTTP/1.1 103 Early Hints" + CRLF + b"link: </a>" + CRLF + CRLF)
            await writer.drain()
            await lasting()
        case "moved":
            writer.write(plain("302 Found", b""))
        case "upgrade":
            writer.write(b"HTTP/1.1 101 Switching Protocols" + CRLF + b"upgrade: websocket" + CRLF)
            writer.write(b"connection: upgrade" + CRLF + CRLF)
            await writer.drain()
            await lasting()
        case _:
            writer.write(plain("200 OK", b"ok"))


async def counts(published: Published, deployment: Storyteller, **wanted: int) -> None:
    """Until exactly this is published."""

    def are_there() -> bool:
        found = published.of(deployment.deployment_id)
        assert all(found[name] <= value for name, value in wanted.items()), (found, wanted)
        return all(found[name] == value for name, value in wanted.items())

    try:
        await eventually(are_there)
    except AssertionError:
        raise AssertionError(f"{published.of(deployment.deployment_id)} never became {wanted}") from None


async def call(
    client: httpx.AsyncClient, deployment: Storyteller, path: str = "/", method: str = "GET"
) -> httpx.Response:
    return await client.request(method, path, headers={"host": deployment.host})
