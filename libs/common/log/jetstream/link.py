"""The connection as this adapter uses it: one inbox for every answer, and whether it is really there."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from typing import TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.protocol.command import hpub_cmd

from libs.common.clock import Ticks
from libs.common.errors import LogUnavailable
from libs.common.log.jetstream.headers import read_headers

OnAnswer = Callable[[Msg], None]

T = TypeVar("T")

_CHECK_AGAIN_S = 0.25


class Link:
    """Sends requests and hands each answer, of which there may be many, to whoever asked.

    The client's own requests wait for one answer each and cost a task; this waits for streams of answers
    and notices a reconnection, after which an answer from before can never come.
    """

    def __init__(self, client: Client, *, ticks: Ticks) -> None:
        client._parse_header_lines = read_headers  # type: ignore[method-assign, assignment]  # noqa: SLF001 - see there
        self.client = client
        self.ticks = ticks
        self._waiting: dict[str, OnAnswer] = {}
        self._numbers = count(1)
        self._prefix = ""
        self._subscribing = asyncio.Lock()

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and came back."""
        return self.client.stats["reconnects"]

    async def expect(self, on_answer: OnAnswer) -> str:
        """The reply subject whose answers go to `on_answer`, until `forget`."""
        if not self._prefix:
            await self._subscribe()
        token = str(next(self._numbers))
        self._waiting[token] = on_answer
        return self._prefix + token

    def forget(self, reply: str) -> None:
        self._waiting.pop(reply[len(self._prefix) :], None)

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        reply: str = "",
        headers: dict[str, str] | None = None,
        is_more_to_come: bool = False,
    ) -> None:
        """Raises LogUnavailable when the client cannot even try, ValueError for too large a message and for
        what would end the line of the protocol that it stands in.

        is_more_to_come: it may wait for the next message and go out together with that.
        """
        client = self.client
        try:
            if headers is None:
                await client.publish(subject, data, reply=reply)
                return
            if not client.is_connected or client.is_draining:
                raise LogUnavailable(f"cannot publish to {subject}: not connected")
            if subject.split() != [subject]:
                raise ValueError(f"{subject[:100]!r} is no subject: it is empty, or has white space in it")
            block = _encode(headers)
            if len(block) + len(data) > client.max_payload:
                raise _too_large(subject, data)
            # An event has fifteen headers, and the client's own way of writing them is a quarter of the
            # CPU time of an append (95 us with it, 71 us without).
            await client._send_command(hpub_cmd(subject, reply, block, data))  # noqa: SLF001 - see above
            if not is_more_to_come and (not client._flush_queue or client._flush_queue.empty()):  # noqa: SLF001 - see above
                await client._flush_pending()  # noqa: SLF001 - see above
        except MaxPayloadError as error:
            raise _too_large(subject, data) from error
        except NatsError as error:
            raise LogUnavailable(f"cannot publish to {subject}: {error!r}") from error

    async def connected(self, *, until: float) -> None:
        """Wait for the connection, so that nothing piles up in the client's buffer meanwhile.

        until: in ticks. Raises LogUnavailable when the time is up, or the client has given up.
        """
        while not self.client.is_connected:
            if self.client.is_closed:
                raise LogUnavailable("the connection to the broker is closed")
            if self.ticks() >= until:
                raise LogUnavailable("not connected to the broker")
            await asyncio.sleep(0.02)

    async def wait(self, answer: "asyncio.Future[T | None]", *, timeout_s: float) -> T | None:
        """The answer, or None when none came in time or the connection was lost meanwhile."""
        loop = asyncio.get_running_loop()
        until, reconnects = self.ticks() + timeout_s, self.reconnects

        timer: asyncio.TimerHandle | None = None

        def check() -> None:
            nonlocal timer
            if answer.done():
                return
            if self.ticks() >= until or self.reconnects != reconnects:
                answer.set_result(None)
            else:
                timer = loop.call_later(_CHECK_AGAIN_S, check)

        timer = loop.call_later(min(_CHECK_AGAIN_S, timeout_s), check)
        try:
            return await answer
        finally:
            if timer is not None:
                timer.cancel()

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> Msg | None:
        """The first answer, or None when none came in time or the connection was lost meanwhile."""
        answer: asyncio.Future[Msg | None] = asyncio.get_running_loop().create_future()

        def on_answer(message: Msg) -> None:
            if not answer.done():
                answer.set_result(message)

        reply = await self.expect(on_answer)
        try:
            await self.publish(subject, data, reply=reply)
            return await self.wait(answer, timeout_s=timeout_s)
        finally:
            self.forget(reply)

    async def _subscribe(self) -> None:
        async with self._subscribing:
            if self._prefix:
                return
            prefix = self.client.new_inbox() + "."
            try:
                await self.client.subscribe(prefix + "*", cb=self._on_message)
            except NatsError as error:
                raise LogUnavailable(f"cannot subscribe to answers: {error!r}") from error
            self._prefix = prefix

    async def _on_message(self, message: Msg) -> None:
        on_answer = self._waiting.get(message.subject[len(self._prefix) :])
        if on_answer is not None:
            on_answer(message)


def _too_large(subject: str, data: bytes) -> ValueError:
    return ValueError(f"{len(data)} bytes for {subject} are more than the broker takes")


def _encode(headers: Mapping[str, str]) -> bytes:
    block = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if block.count("\n") != len(headers) or block.count("\r") != len(headers):
        one_line = {name: " ".join(value.splitlines()) for name, value in headers.items()}
        block = "".join([f"{name}: {value}\r\n" for name, value in one_line.items()])
        if block.count("\n") != len(headers) or block.count("\r") != len(headers):
            raise ValueError("the name of a header is not one line")
    return f"NATS/1.0\r\n{block}\r\n".encode()


def status(message: Msg) -> str | None:
    """The status of an answer that is about the request (`404`, `503`, ...); None for a stored message."""
    if message.data or not message.headers:
        return None
    return message.headers.get("Status")
