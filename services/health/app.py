"""Wiring of health: the only place that knows what is real."""

from collections.abc import Callable

from libs.common.bus.checks import CheckSignals
from libs.common.bus.connection import connected
from libs.common.clock import monotonic, utc_now
from libs.common.cluster.opening import open_cluster
from libs.common.cluster.port import Cluster
from libs.common.log.jetstream import open_log
from libs.common.log.jetstream.samples import JetStreamSamplePublisher
from libs.common.log.port import EventLog
from libs.common.log.snapshots import Snapshot
from libs.common.runtime import Progress, as_it_is, run_until_stopped
from services.health.loop import watch_cluster
from services.health.prober import Prober
from services.health.sampler import Sampler
from services.health.settings import Settings

SERVICE = "health"


async def run(
    settings: Settings,
    *,
    adapt_log: Callable[[EventLog], EventLog] = as_it_is,
    adapt_cluster: Callable[[Cluster], Cluster] = as_it_is,
) -> None:
    """Until SIGTERM. The two hooks let another composition wrap the adapters."""
    async with connected(settings, service=SERVICE) as connection, open_cluster(settings) as opened:
        progress = Progress()
        log = adapt_log(open_log(connection.client, SERVICE, on_stuck=progress.cannot_follow))
        cluster = adapt_cluster(opened)
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
                ),
                Sampler(
                    cluster,
                    JetStreamSamplePublisher(connection.client),
                    interval_s=settings.usage_seconds,
                    clock=utc_now,
                    ticks=monotonic,
                ).run(),
            ],
            heartbeat=connection.heartbeat,
            progress=progress,
        )
