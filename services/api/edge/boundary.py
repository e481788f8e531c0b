"""What every request meets first: its correlation id, the key, the limit on its body."""

import hmac
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.common.ids import new_id
from services.api.edge.refusals import PayloadTooLarge, Unauthorized, refusal_answer
from services.api.settings import MAX_BODY_BYTES

OPEN_PATHS = frozenset({"/v1/health", "/openapi.json"})
"""What needs no key."""

UNLIMITED_PATHS = frozenset({"/v1/log/import"})
"""Whose bodies may be of any size: they are streamed."""

MAX_DRAINED_BYTES = 16 * 1024 * 1024
"""What is read of a refused body, because a client that still sends does not see an answer."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
"""What of `x-request-id` may go on into the headers of events."""


class Boundary:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, api_key: str, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._api_key = api_key.encode()
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        correlation_id = given if _REQUEST_ID.fullmatch(given) else new_id()
        scope.setdefault("state", {})["correlation_id"] = correlation_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-correlation-id"] = correlation_id
            await send(message)

        if scope["path"] not in OPEN_PATHS and not self._has_key(headers):
            await _drain(receive)
            error = Unauthorized("A valid key is needed: `Authorization: Bearer <key>`")
            await refusal_answer(error)(scope, receive, send_with_id)
        elif scope["path"] in UNLIMITED_PATHS:
            await self._app(scope, receive, send_with_id)
        elif int(headers.get("content-length", "0")) > self._max_body_bytes:
            await _drain(receive)
            await refusal_answer(PayloadTooLarge())(scope, receive, send_with_id)
        else:
            await self._app(scope, self._limited(receive), send_with_id)

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        # In constant time: an early end would tell how much of a guess was right.
        is_key = hmac.compare_digest(key.strip().encode(), self._api_key)
        return is_key and scheme.lower() == "bearer"

    def _limited(self, receive: Receive) -> Receive:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                if message.get("more_body"):
                    await _drain(receive)
                raise PayloadTooLarge
            return message

        return limited


async def _drain(receive: Receive) -> None:
    drained = 0
    while drained <= MAX_DRAINED_BYTES:
        message = await receive()
        drained += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return
