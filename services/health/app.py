"""Wiring of health: the only place that knows what is real."""

from collections.abc import Callable, Coroutine
from typing import Any

from libs.common.bus.checks import CheckSignals
from libs.common.bus.connection import connected
from libs.common.bus.leading import led
from libs.common.clock import monotonic, utc_now
from libs.common.cluster.opening import open_cluster
from libs.common.cluster.port import Cluster
from libs.common.leading import while_leading
from libs.common.load_shown import Shown
from libs.common.log.jetstream import open_log
from libs.common.log.jetstream.samples import JetStreamSamplePublisher
from libs.common.log.jetstream.tails import JetStreamTails
from libs.common.log.port import EventLog
from libs.common.log.snapshots import Snapshot
from libs.common.runtime import Progress, as_it_is, run_until_stopped
from services.health.prober import Prober
from services.health.sampler import Sampler
from services.health.settings import Settings
from services.health.watching import watch_cluster

SERVICE = "health"

ENDING_S = 30.0
"""That a replica may take to end besides what it is given."""


async def run(
    settings: Settings,
    *,
    adapt_log: Callable[[EventLog], EventLog] = as_it_is,
    adapt_cluster: Callable[[Cluster], Cluster] = as_it_is,
) -> None:
    """Until SIGTERM. The two hooks let another composition wrap the adapters."""
    async with connected(settings, service=SERVICE) as connection, open_cluster(settings) as opened:
        progress = Progress()
        log = adapt_log(
            open_log(
                connection.client, SERVICE, on_stuck=progress.cannot_follow, on_unread=progress.cannot_read
            )
        )
        cluster = adapt_cluster(opened)
        async with led(connection.client, settings, progress.lead, service=SERVICE) as lease:

            def sample() -> Coroutine[Any, Any, None]:
                publisher = Shown(JetStreamSamplePublisher(connection.client))
                return Sampler(
                    cluster,
                    publisher,
                    interval_s=settings.usage_seconds,
                    clock=utc_now,
                    ticks=monotonic,
                    leads=lambda: lease.is_held,
                ).run()

            await run_until_stopped(
                lambda: [
                    watch_cluster(
                        log,
                        cluster,
                        Prober(addresses=settings.addresses),
                        progress=progress,
                        clock=utc_now,
                        ticks=monotonic,
                        snapshot=Snapshot.of(SERVICE, settings),
                        publish=CheckSignals(connection.client).publish,
                        tails=JetStreamTails(connection.client),
                        ends_within_s=settings.drain_deadline_seconds + settings.grace_seconds + ENDING_S,
                        leading=lease,
                    ),
                    while_leading(lease, sample),
                ],
                heartbeat=connection.heartbeat,
                progress=progress,
            )
