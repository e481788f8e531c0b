"""What every request meets first: its correlation id, the key, the limits on its body."""

import asyncio
import hmac
import re
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.common.errors import Refused
from libs.common.ids import new_id
from services.api.edge.refusals import BodyTooSlow, PayloadTooLarge, Unauthorized, refusal_answer
from services.api.settings import MAX_BODY_BYTES

OPEN_PATHS = frozenset({"/v1/health", "/openapi.json"})
"""What needs no key."""

UNLIMITED_PATHS = frozenset({"/v1/log/import"})
"""Whose bodies may be of any size: they are streamed."""

MAX_DRAINED_BYTES = 16 * 1024 * 1024
"""What is read of a refused body, because a client that still sends does not see an answer."""

BODY_DEADLINE_S = 60.0
"""Within this time a body has come; one of any size is never silent for longer."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
"""What of `x-request-id` may go on into the headers of events."""


class Boundary:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, api_key: str, body_deadline_s: float = BODY_DEADLINE_S) -> None:
        self._app = app
        self._api_key = api_key.encode()
        self._body_deadline_s = body_deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        correlation_id = given if _REQUEST_ID.fullmatch(given) else new_id()
        scope.setdefault("state", {})["correlation_id"] = correlation_id

        has_begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                MutableHeaders(scope=message)["x-correlation-id"] = correlation_id
            await send(message)

        is_unlimited = scope["path"] in UNLIMITED_PATHS
        receive = self._in_time(receive, for_each_piece=is_unlimited, is_answered=lambda: has_begun)
        if scope["path"] not in OPEN_PATHS and not self._has_key(headers):
            error = Unauthorized("A valid key is needed: `Authorization: Bearer <key>`")
            await _refuse(error, scope, receive, send_with_id)
        elif not is_unlimited and _length(headers) > MAX_BODY_BYTES:
            await _refuse(PayloadTooLarge(), scope, receive, send_with_id)
        elif is_unlimited:
            await self._app(scope, receive, send_with_id)
        else:
            await self._app(scope, self._limited(receive, is_answered=lambda: has_begun), send_with_id)

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        # In constant time: an early end would tell how much of a guess was right.
        is_key = hmac.compare_digest(key.strip().encode(), self._api_key)
        return is_key and scheme.lower() == "bearer"

    def _in_time(self, receive: Receive, *, for_each_piece: bool, is_answered: Callable[[], bool]) -> Receive:
        """Raises BodyTooSlow until the body has come to its end; after it only the client's leaving comes.

        Where the answer has begun there is nobody to raise it to: the client counts as one that has left.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self._body_deadline_s
        is_whole = False

        async def in_time() -> Message:
            nonlocal deadline, is_whole
            if is_whole:
                return await receive()
            if for_each_piece:
                deadline = now() + self._body_deadline_s
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                if is_answered():
                    return {"type": "http.disconnect"}
                raise BodyTooSlow(self._body_deadline_s) from None
            is_whole = not message.get("more_body", False)
            return message

        return in_time

    def _limited(self, receive: Receive, *, is_answered: Callable[[], bool]) -> Receive:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                if is_answered():
                    return {"type": "http.disconnect"}
                if message.get("more_body"):
                    await _drain(receive)
                raise PayloadTooLarge
            return message

        return limited


def _length(headers: Headers) -> int:
    """The server has looked that it is a number of 64 bits; it may begin with more zeros than `int` takes."""
    return int(headers.get("content-length", "").lstrip("0") or "0")


async def _refuse(error: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await _drain(receive)
    except BodyTooSlow as slow:
        error = slow
    await refusal_answer(error)(scope, receive, send)


async def _drain(receive: Receive) -> None:
    drained = 0
    while drained <= MAX_DRAINED_BYTES:
        message = await receive()
        drained += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return
