"""How every service process joins the platform, and leaves it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from faststream.nats import NatsBroker
from nats.aio.client import Client

from libs.common import telemetry
from libs.common.bus.broker import close, make_broker
from libs.common.bus.heartbeat import HeartbeatPublisher
from libs.common.bus.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Connection:
    client: Client
    """The connection that the log shares."""
    broker: NatsBroker
    """FastStream over it, connected and not started."""
    heartbeat: HeartbeatPublisher


@asynccontextmanager
async def connected(settings: ServiceSettings, *, service: str) -> AsyncIterator[Connection]:
    """Telemetry and the broker, for as long as the block runs; what waits to be sent is sent at the end."""
    telemetry.setup(service, otlp_endpoint=settings.otlp_endpoint, level=settings.log_level)
    try:
        broker = make_broker(settings, service=service)
        try:
            client = await broker.connect()
            yield Connection(client, broker, HeartbeatPublisher(broker, service=service, pid=os.getpid()))
        finally:
            await close(broker)
    finally:
        telemetry.shutdown()
