"""One attempt of a check over the network, HTTP GET or a TCP connection, to the replica's own address only.

A bare protocol over httptools instead of an HTTP client: a probe costs some 0.1 ms of CPU, so thousands fit
into one process, and nothing can redirect it elsewhere, reuse a connection or read without a limit.
"""

import asyncio
import errno
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, cast

import httptools

from libs.common.clock import Ticks, monotonic
from libs.common.cluster.addresses import LOCAL, Addresses
from libs.common.spec.model import HealthCheck
from services.health.probe_request import MAX_REDIRECTS, Endpoint, Request, make_request, redirected
from services.health.probing import Failure, Outcome, ProberError, Success

HEAD_LIMIT = 8 * 1024
"""Bytes of a response's head; a longer one is a failure."""
BODY_LIMIT = 4 * 1024
"""Bytes of a response's body that are read; a longer one is cut off, and no failure."""
BUFFER = 4 * 1024

STALL_S = 0.5
"""When a time limit is noticed this late, our own process stood still and the replica may have answered."""

OUR_OWN_ERRNOS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN, errno.EPERM}
)
"""Not the replica's fault: no files, memory or local ports are left for us."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    location: str | None = None
    """Where a redirect points to, as sent."""


class BadAnswer(Exception):
    """The replica's answer is no HTTP response, or breaks off; the message says how."""


class Prober:
    """Carries out single attempts; knows nothing of thresholds and time tables."""

    def __init__(self, *, ticks: Ticks = monotonic, addresses: Addresses = LOCAL) -> None:
        """addresses: where replicas can be; nothing is sent anywhere else, whatever a record says."""
        self._ticks = ticks
        self._addresses = addresses

    async def get(
        self, endpoint: Endpoint, check: HealthCheck, ports: Mapping[int, int] | None = None
    ) -> Outcome:
        """One HTTP attempt: 200 to 399 is success, within `timeoutSeconds` over everything.

        As the kubelet's httpGet: a redirect to the replica itself is followed, at most ten times; one
        elsewhere is a success that is not followed. ports: the replica's own port for each port of its spec.
        """
        attempt = self._get(make_request(endpoint, check), ports or {})
        return await self._within(check.timeout_seconds, attempt)

    async def connect(self, endpoint: Endpoint, timeout_s: float = 1.0) -> Outcome:
        """Whether the port accepts a connection; nothing is sent."""
        return await self._within(timeout_s, self._connect(endpoint))

    async def _within(self, timeout_s: float, attempt: Coroutine[Any, Any, Outcome]) -> Outcome:
        started = self._ticks()
        try:
            async with asyncio.timeout(timeout_s):
                return await attempt
        except TimeoutError:
            if self._ticks() - started - timeout_s > STALL_S:
                return ProberError("the prober stood still")
            return Failure(f"timed out after {timeout_s:g} s")
        except BadAnswer as error:
            return Failure(str(error))
        except OSError as error:
            return _of_os_error(error)

    async def _get(self, request: Request, ports: Mapping[int, int]) -> Outcome:
        for _ in range(MAX_REDIRECTS + 1):
            if request.endpoint.authority not in self._addresses:
                return Failure(f"{request.endpoint.authority} can be no replica's address")
            answer = await _exchange(request)
            following = redirected(request, request.endpoint, answer.status, answer.location, ports)
            if following is None:
                if 200 <= answer.status < 400:
                    return Success()
                return Failure(f"HTTP {answer.status}")
            request = following
        return Failure(f"redirected more than {MAX_REDIRECTS} times")

    async def _connect(self, endpoint: Endpoint) -> Outcome:
        if endpoint.authority not in self._addresses:
            return Failure(f"{endpoint.authority} can be no replica's address")
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, endpoint.host, endpoint.port)
        transport.abort()
        return Success()


async def _exchange(request: Request) -> Answer:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Answer] = loop.create_future()
    try:
        transport, _ = await loop.create_connection(
            lambda: _Exchange(request.to_bytes(), answer), request.endpoint.host, request.endpoint.port
        )
        try:
            return await answer
        finally:
            transport.abort()
    finally:
        # Given up before it was answered: what the connection still has to say is for nobody.
        if not answer.cancel() and not answer.cancelled():
            answer.exception()


class _Exchange(asyncio.BufferedProtocol):
    """Sends one request and settles `answer` as soon as the response is complete, or enough of it is read."""

    def __init__(self, request: bytes, answer: asyncio.Future[Answer]) -> None:
        self._request = request
        self._answer = answer
        self._buffer = bytearray(BUFFER)
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._status: int | None = None
        self._location: str | None = None
        self._has_length = False
        self._head_bytes = 0
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: uvloop's transports inherit from none of asyncio's.
        cast("asyncio.WriteTransport", transport).write(self._request)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  a small buffer is the read limit
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._parser is None:
            return
        if self._status is None:
            self._head_bytes += nbytes
        try:
            self._parser.feed_data(memoryview(self._buffer)[:nbytes])
        except httptools.HttpParserUpgrade:
            self._settle()
        except httptools.HttpParserError as error:
            if self._parser is not None:
                self._fail(f"not an HTTP response ({error})")
        if self._status is None and self._head_bytes > HEAD_LIMIT:
            self._fail(f"response head over {HEAD_LIMIT} bytes")

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._parser is None:
            return
        if self._status is not None and not self._has_length and exc is None:
            self._settle()  # without a length the body ends with the connection
        elif exc is not None:
            self._end()
            if not self._answer.done():
                self._answer.set_exception(exc if isinstance(exc, OSError) else BadAnswer(str(exc)))
        else:
            self._fail("connection closed before the response was complete")

    # What httptools calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"location":
                self._location = value.decode("latin-1")
            case b"content-length" | b"transfer-encoding":
                self._has_length = True
            case _:
                pass

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            return
        self._status = status

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes >= BODY_LIMIT:
            self._settle()

    def on_message_complete(self) -> None:
        if self._status is not None:
            self._settle()
        else:
            self._location, self._has_length = None, False

    def _settle(self) -> None:
        if self._status is None:
            self._fail("not an HTTP response")
            return
        self._end()
        if not self._answer.done():
            self._answer.set_result(Answer(self._status, self._location))

    def _fail(self, message: str) -> None:
        self._end()
        if not self._answer.done():
            self._answer.set_exception(BadAnswer(message))

    def _end(self) -> None:
        """Also breaks the circle of protocol and parser."""
        self._parser = None


def _of_os_error(error: OSError) -> Outcome:
    if error.errno in OUR_OWN_ERRNOS:
        return ProberError(str(error))
    if isinstance(error, ConnectionRefusedError):
        return Failure("connection refused", is_refused=True)
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return Failure("connection reset")
    if error.errno is not None:
        return Failure(f"connection failed ({errno.errorcode.get(error.errno, error.errno)})")
    return Failure(f"connection failed ({type(error).__name__})")
