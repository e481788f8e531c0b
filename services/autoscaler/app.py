"""Wiring of the autoscaler: the only place that knows what is real."""

import os
from functools import partial

from libs.common import telemetry
from libs.common.bus.broker import close, make_broker
from libs.common.bus.heartbeat import HeartbeatPublisher
from libs.common.log.jetstream import JetStreamLog
from libs.common.runtime import Progress, run_until_stopped
from libs.common.state.world import Worlds
from services.autoscaler.follower import follow
from services.autoscaler.settings import Settings

SERVICE = "autoscaler"


async def run(settings: Settings) -> None:
    """Until SIGTERM."""
    telemetry.setup(SERVICE, otlp_endpoint=settings.otlp_endpoint, level=settings.log_level)
    broker = make_broker(settings, service=SERVICE)
    client = await broker.connect()
    log = JetStreamLog(client, source=f"specstream/{SERVICE}")
    progress = Progress()
    try:
        await run_until_stopped(
            lambda: [follow(log, Worlds(), progress)],
            heartbeat=HeartbeatPublisher(broker, service=SERVICE, pid=os.getpid()),
            progress=progress,
            on_stop=partial(close, broker),
        )
    finally:
        telemetry.shutdown()
