"""Wiring of the autoscaler: the only place that knows what is real."""

from collections.abc import Callable

from libs.common.bus.connection import connected
from libs.common.log.jetstream import open_log
from libs.common.log.port import EventLog
from libs.common.log.snapshots import Snapshot
from libs.common.runtime import Progress, as_it_is, run_until_stopped
from libs.common.state.aggregates import followed_by
from libs.common.state.view import Views
from services.autoscaler.follower import follow
from services.autoscaler.settings import Settings

SERVICE = "autoscaler"


async def run(settings: Settings, *, adapt_log: Callable[[EventLog], EventLog] = as_it_is) -> None:
    """Until SIGTERM. adapt_log: another composition may wrap the log."""
    async with connected(settings, service=SERVICE) as connection:
        progress = Progress()
        log = adapt_log(open_log(connection.client, SERVICE, on_stuck=progress.cannot_follow))
        await run_until_stopped(
            lambda: [follow(log, Views(followed_by(SERVICE)), progress, Snapshot.of(SERVICE, settings))],
            heartbeat=connection.heartbeat,
            progress=progress,
        )
