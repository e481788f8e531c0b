"""The xDS server: delta discovery of all types on one gRPC stream for each Envoy."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import grpc.aio
import structlog
from envoy.service.discovery.v3 import ads_pb2_grpc
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from libs.common import telemetry
from libs.common.clock import Clock
from services.router.xds.cache import Cache
from services.router.xds.session import Session

logger = structlog.get_logger()

_OPTIONS = (
    # A second router on this port is an error, not a silent sharing of Envoys.
    ("grpc.so_reuseport", 0),
    # A reconnecting Envoy names every resource that it has.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Envoy pings when the stream is quiet; gRPC's default takes more than one ping in 5 minutes for abuse.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class DiscoveryServer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]  # generated untyped
    """Serves a cache. Start it only when the cache holds everything: what is not in it is removed from the
    Envoys that connect, and they were serving it while the router was away.
    """

    def __init__(self, cache: Cache, *, port: int, clock: Clock) -> None:
        self._cache = cache
        self._port = port
        self._clock = clock
        self._server: grpc.aio.Server | None = None
        self._rejections = telemetry.counter(
            "specstream.router.xds.rejections", unit="{response}", description="Responses that Envoy refused"
        )
        self.unsettled_at: datetime = clock()
        """When a stream last ended, or the server began: the Envoy of that stream may still be serving."""

    async def start(self) -> None:
        """Serves on 127.0.0.1 from now on. Raises RuntimeError when the port is taken."""
        self._server = grpc.aio.server(options=_OPTIONS)
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        await self._server.start()
        self.unsettled_at = self._clock()
        logger.info("serving xds", port=self._port, deployments=len(self._cache.resources))

    async def stop(self) -> None:
        """Ends all streams; every Envoy goes on with what it has."""
        if self._server is not None:
            await self._server.stop(grace=None)

    async def DeltaAggregatedResources(  # noqa: N802 - the name that the protocol gives it
        self, request_iterator: AsyncIterator[DeltaDiscoveryRequest], context: Any
    ) -> AsyncIterator[DeltaDiscoveryResponse]:
        wake = asyncio.Event()
        session = self._cache.connect(notify=wake.set)
        reader = asyncio.ensure_future(self._receive(session, request_iterator, wake))
        logger.info("envoy connected", peer=context.peer())
        try:
            while not reader.done():
                await wake.wait()
                wake.clear()
                for response in session.responses(self._clock()):
                    yield response
            reader.result()
        finally:
            reader.cancel()
            self._cache.disconnect(session)
            self.unsettled_at = self._clock()
            logger.info("envoy disconnected", node_id=session.node_id)

    async def _receive(
        self, session: Session, requests: AsyncIterator[DeltaDiscoveryRequest], wake: asyncio.Event
    ) -> None:
        try:
            async for request in requests:
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
        finally:
            wake.set()
