"""The xDS server: delta discovery of all types on one gRPC stream for each Envoy."""

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import Any, Final

import grpc
import grpc.aio
import structlog
from envoy.service.discovery.v3 import ads_pb2_grpc
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from libs.common import telemetry
from libs.common.clock import Clock, Ticks
from services.router.draining import PATIENCE_S
from services.router.meeting_place import MeetingPlace
from services.router.xds.cache import Cache
from services.router.xds.session import Session

logger = structlog.get_logger()

MAX_SESSIONS: Final = 16
"""Streams at a time; a platform has one Envoy, and for a moment two while it starts again."""

_CHECK_S: Final = 1.0
_FAREWELL_S: Final = 1.0

_OPTIONS = (
    # A reconnecting Envoy names every resource that it has: 3 MB with 10,000 deployments.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", 4),
    # A connection that opens no stream is closed.
    ("grpc.max_connection_idle_ms", 30_000),
    # Envoy pings when the stream is quiet; gRPC's default takes more than one ping in 5 minutes for abuse.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class _TokenCheck(grpc.aio.ServerInterceptor):
    """Refuses every call without the token before a byte of it is read."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        given = dict(handler_call_details.invocation_metadata).get("authorization", "")
        given = given if isinstance(given, bytes) else given.encode()
        if hmac.compare_digest(given, self._expected):
            return await continuation(handler_call_details)
        return grpc.stream_stream_rpc_method_handler(_refuse)


async def _refuse(_: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is missing or wrong")


class DiscoveryServer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]  # generated untyped
    """Serves a cache. Start it only when the cache holds everything: what is not in it is removed from the
    Envoys that connect, and they were serving it while the router was away.
    """

    def __init__(
        self,
        cache: Cache,
        place: MeetingPlace,
        *,
        clock: Clock,
        ticks: Ticks,
        patience_s: float = PATIENCE_S,
        beside: Callable[[grpc.aio.Server], None] | None = None,
    ) -> None:
        """patience_s: how long an Envoy may leave a response without an answer.
        beside: adds what else is served on the socket, to who knows the token."""
        self._cache = cache
        self._place = place
        self._clock = clock
        self._ticks = ticks
        self._patience_s = patience_s
        self._beside = beside
        self._server: grpc.aio.Server | None = None
        self._held = ExitStack()
        self._rejections = telemetry.counter(
            "specstream.router.xds.rejections", unit="{response}", description="Responses that Envoy refused"
        )
        self._pushes = telemetry.histogram(
            "specstream.router.xds.push.duration",
            unit="s",
            description="How long it took from sending Envoy a response until it answered",
        )
        self.unsettled_at: float = ticks()
        """When the stream of a serving Envoy last ended, or the server began: it may still be serving."""

    async def start(self) -> None:
        """Serves on the meeting place's socket from now on. Raises PlaceTaken, or RuntimeError when the
        socket cannot be made."""
        self._held.enter_context(self._place.held())
        self._server = grpc.aio.server(options=_OPTIONS, interceptors=[_TokenCheck(self._place.token)])
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self, self._server)
        if self._beside is not None:
            self._beside(self._server)
        self._server.add_insecure_port(f"unix:{self._place.xds_socket}")
        os.chmod(self._place.xds_socket, 0o600)  # noqa: PTH101 - it blocks nobody
        await self._server.start()
        self.unsettled_at = self._ticks()
        logger.info("serving xds")

    async def stop(self) -> None:
        """Ends all streams; every Envoy goes on with what it has."""
        if self._server is not None:
            await self._server.stop(grace=None)
        self._held.close()

    async def DeltaAggregatedResources(  # noqa: N802 - the name that the protocol gives it
        self, request_iterator: AsyncIterator[DeltaDiscoveryRequest], context: Any
    ) -> None:
        if len(self._cache.sessions) >= MAX_SESSIONS:
            logger.error("too many envoys", limit=MAX_SESSIONS)
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_SESSIONS} streams are open")
        wake = asyncio.Event()
        session = self._cache.connect(notify=wake.set)
        logger.info("envoy connected")
        reader = asyncio.ensure_future(self._receive(session, request_iterator))
        writer = asyncio.ensure_future(self._send(session, context, wake))
        watch = asyncio.ensure_future(self._until_stuck(session))
        tasks = (reader, writer, watch)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._cache.disconnect(session)
            if session.may_serve:
                self.unsettled_at = self._ticks()
            for task in tasks:
                task.cancel()
            logger.info("envoy disconnected", node_id=session.node_id)
        if watch.done() and not watch.cancelled():
            logger.error("envoy hangs", node_id=session.node_id, patience_s=self._patience_s)
            # It may not take in this either; then the keep-alive ends the connection.
            async with asyncio.timeout(_FAREWELL_S):
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "a response was not answered in time")
        for task in (reader, writer):
            if task.done() and not task.cancelled():
                task.result()

    async def _send(self, session: Session, context: Any, wake: asyncio.Event) -> None:
        """Never returns. An Envoy that reads slowly holds up nobody else: what changes meanwhile is only
        noted as changed."""
        while True:
            await wake.wait()
            wake.clear()
            for response in session.responses(self._ticks()):
                await context.write(response)

    async def _until_stuck(self, session: Session) -> None:
        """Return when a response waits for its answer and none has come for too long. An Envoy that has much
        to take in, as at its start, answers one response after the other and is given the time."""
        answers, answered_at = session.answers, self._ticks()
        while True:
            now, since = self._ticks(), session.pending_since()
            if session.answers != answers:
                answers, answered_at = session.answers, now
            if since is not None and now - max(since, answered_at) > self._patience_s:
                return
            await asyncio.sleep(min(_CHECK_S, self._patience_s / 2))

    async def _receive(self, session: Session, requests: AsyncIterator[DeltaDiscoveryRequest]) -> None:
        async for request in requests:
            if (sent := session.sent(request.response_nonce)) is not None:
                self._pushes.record(self._ticks() - sent.sent_at, {"type": sent.type.rpartition(".")[2]})
            rejection = session.receive(request, self._clock())
            if rejection is not None:
                self._rejections.add(1, {"type": rejection.type.rpartition(".")[2]})
                logger.error(
                    "envoy rejected resources",
                    node_id=session.node_id,
                    resource_type=rejection.type,
                    names=rejection.names,
                    error=rejection.message,
                )
