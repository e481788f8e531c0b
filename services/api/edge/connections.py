"""What a connection to REST may hold of the api before its request has come, by whoever opens it.

| what                                   | at most                 | then                             |
|----------------------------------------|-------------------------|----------------------------------|
| connections                            | one for every two files | closed at once                   |
| seconds from opening until the headers | 30                      | closed; 408 where some have come |
| bytes of headers                       | 64 KiB                  | 431                              |
| bytes of headers after a body          | 64 KiB                  | 431; closed where it is answered |
| a body whose request is answered       | 75 s                    | closed                           |

Between two requests a connection is given up by the server's own limit; `boundary.py` bounds bodies that are
read.
"""

import asyncio
import resource
from http import HTTPStatus
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.api.edge.refusals import error_answer

logger = structlog.get_logger()

MAX_HEADER_BYTES = 64 * 1024
MOST_CONNECTIONS = 50_000

_AROUND_A_HEADER = len(": \r\n")


class _HeadersTooLarge(Exception):
    """Ends the parsing of a request."""


class BoundedConnection(HttpToolsProtocol):
    """One connection of a client."""

    headers_deadline_s = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._has_begun = False
        self._header_bytes = 0
        """What has come since headers may have begun: a bound on those that are still coming."""
        self._parsed_header_bytes = 0
        """Of the present request, or of what came after its body: a bound on those that come in one piece."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its parent does
        super().connection_made(transport)
        self._expect_headers()
        if len(self.connections) > most_connections():
            logger.warning("connection refused", open=len(self.connections) - 1)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_headers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        idle = self.timeout_keep_alive_task
        self._header_bytes += len(data)
        super().data_received(data)
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse_headers()
        elif idle is not None and self._is_between_requests():
            # The server takes whatever comes for a request. This was none: an empty line, or of a body that
            # nobody reads any more.
            self.timeout_keep_alive_task = self.loop.call_at(idle.when(), self.timeout_keep_alive_handler)

    def on_message_begin(self) -> None:
        if self._deadline is None:  # the first request was expected when the connection was made
            self._expect_headers()
        self._has_begun = True
        self._parsed_header_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._parsed_header_bytes += len(name) + len(value) + _AROUND_A_HEADER
        if self._parsed_header_bytes > MAX_HEADER_BYTES:
            raise _HeadersTooLarge
        if self._deadline is not None:  # nobody asks for those that come after a body
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._have_headers()
        self._header_bytes = self._parsed_header_bytes = 0
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        self._header_bytes = 0

    def on_body(self, body: bytes) -> None:
        self._header_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """What the parser does not take; it takes no header either that is one too many for us."""
        if self._parsed_header_bytes > MAX_HEADER_BYTES:
            self._refuse_headers()
            return
        self._refuse(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", msg)

    def _expect_headers(self) -> None:
        self._has_begun = False
        self._header_bytes = 0
        self._deadline = self.loop.call_later(self.headers_deadline_s, self._give_up)

    def _have_headers(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _is_between_requests(self) -> bool:
        is_answered = self.cycle is not None and self.cycle.response_complete
        return is_answered and self._deadline is None and not self.transport.is_closing()

    def _refuse_headers(self) -> None:
        message = f"Headers may have at most {MAX_HEADER_BYTES} bytes"
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)

    def _give_up(self) -> None:
        if self._has_begun:
            message = f"The headers did not come within {self.headers_deadline_s:.0f} s"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "TIMEOUT", message)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        """The API's one error shape, before there is a request that the application could answer."""
        may_answer = self._may_answer()
        self._have_headers()
        if not may_answer:
            self.transport.close()
            return
        body = bytes(error_answer(status, code, message).body)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _may_answer(self) -> bool:
        """False where it would stand in the middle of another answer, or after the one that was due."""
        if self.transport.is_closing() or self.pipeline:
            return False
        if self._deadline is not None:  # of the next request
            return self.cycle is None or self.cycle.response_complete
        return self.cycle is None or not self.cycle.response_started


def most_connections() -> int:
    """Each may need a second file: of the database, or to the broker."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, soft // 2)
