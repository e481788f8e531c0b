"""The router process: what is real, and how it is put together."""

import os
from collections.abc import Callable

import structlog

from libs.common import telemetry
from libs.common.bus.broker import close, make_broker
from libs.common.bus.heartbeat import HeartbeatPublisher
from libs.common.clock import utc_now
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import EventLog
from libs.common.runtime import Progress, run_until_stopped
from services.router.envoy_admin import EnvoyAdmin
from services.router.follower import Follower
from services.router.loop import DrainLoop, StatusLoop
from services.router.settings import Settings
from services.router.xds.cache import Cache
from services.router.xds.listener import make_listener
from services.router.xds.server import DiscoveryServer
from services.router.xds.types import Packed

SERVICE = "router"

logger = structlog.get_logger()


def _identity(log: EventLog) -> EventLog:
    return log


async def run(settings: Settings, *, adapt_log: Callable[[EventLog], EventLog] = _identity) -> None:
    """Until SIGTERM or SIGINT. adapt_log: lets a test stand between the service and its log."""
    telemetry.setup(SERVICE, otlp_endpoint=settings.otlp_endpoint, level=settings.log_level)
    broker = make_broker(settings, service=SERVICE)
    client = await broker.connect()
    log = adapt_log(JetStreamLog(client, source=f"specstream/{SERVICE}"))

    progress = Progress()
    cache = Cache(Packed.of(make_listener(settings.edge_port)))
    follower = Follower(log, cache, progress)
    server = DiscoveryServer(cache, port=settings.xds_port, clock=utc_now)
    async with EnvoyAdmin() as admin:
        drains = DrainLoop(
            log, follower, cache, server, admin, clock=utc_now, deadline=settings.drain_deadline
        )

        async def serve() -> None:
            await follower.caught_up.wait()
            await server.start()
            progress.is_ready = True
            await drains.run()

        async def stop() -> None:
            await server.stop()
            await close(broker)
            telemetry.shutdown()

        await run_until_stopped(
            lambda: [follower.run(), serve(), StatusLoop(cache, progress, clock=utc_now).run()],
            heartbeat=HeartbeatPublisher(broker, service=SERVICE, pid=os.getpid()),
            progress=progress,
            on_stop=stop,
        )
