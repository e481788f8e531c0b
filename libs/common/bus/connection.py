"""How every service process joins the platform, and leaves it."""

import gc
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from faststream.nats import NatsBroker
from nats.aio.client import Client

from libs.common import telemetry
from libs.common.bus.broker import close, make_broker
from libs.common.bus.heartbeat import HeartbeatPublisher
from libs.common.bus.settings import ServiceSettings
from libs.common.services import copy_name
from libs.common.telemetry import scraping


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
    # What the imports have left stays, so nobody looks for garbage in it; `lean` has put that off until here.
    gc.freeze()
    gc.enable()
    registry = make_registry() if settings.metrics == "prometheus" else None
    telemetry.setup(
        service,
        otlp_endpoint=settings.otlp_endpoint,
        level=settings.log_level,
        registry=registry,
        deployments=settings.metrics_deployments,
        process=copy_name(service, settings.copy_number) if settings.copy_number > 1 else "",
    )
    try:
        async with AsyncExitStack() as stack:
            if registry is not None:
                run = settings.home.expanduser() / "run"
                copy = copy_name(service, settings.copy_number)
                await stack.enter_async_context(
                    scraping.served(service, run, registry, process=copy, given=settings.metrics_socket)
                )
            broker = make_broker(settings, service=service)
            stack.push_async_callback(close, broker)
            client = await broker.connect()
            heartbeat = HeartbeatPublisher(
                broker, service=service, pid=os.getpid(), copy_number=settings.copy_number
            )
            yield Connection(client, broker, heartbeat)
    finally:
        telemetry.shutdown()


def make_registry() -> Any:
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - only where it is asked for

    return CollectorRegistry(auto_describe=True)
