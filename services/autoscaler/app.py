"""Wiring of the autoscaler: the only place that knows what is real."""

from libs.common.bus.connection import connected
from libs.common.log.jetstream import JetStreamLog
from libs.common.runtime import Progress, run_until_stopped
from libs.common.state.world import Worlds
from services.autoscaler.follower import follow
from services.autoscaler.settings import Settings

SERVICE = "autoscaler"


async def run(settings: Settings) -> None:
    """Until SIGTERM."""
    async with connected(settings, service=SERVICE) as connection:
        log = JetStreamLog(connection.client, source=f"specstream/{SERVICE}")
        progress = Progress()
        await run_until_stopped(
            lambda: [follow(log, Worlds(), progress)], heartbeat=connection.heartbeat, progress=progress
        )
