"""Wiring of health: the only place that knows what is real."""

from collections.abc import Callable

from libs.common.bus.connection import connected
from libs.common.clock import monotonic, utc_now
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.port import Cluster
from libs.common.log.consumer_names import names_of
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import EventLog
from libs.common.runtime import Progress, as_it_is, run_until_stopped
from services.health.loop import watch_cluster
from services.health.prober import Prober
from services.health.settings import Settings

SERVICE = "health"


async def run(
    settings: Settings,
    *,
    adapt_log: Callable[[EventLog], EventLog] = as_it_is,
    adapt_cluster: Callable[[Cluster], Cluster] = as_it_is,
) -> None:
    """Until SIGTERM. The two hooks let another composition wrap the adapters."""
    async with connected(settings, service=SERVICE) as connection:
        progress = Progress()
        log = adapt_log(
            JetStreamLog(
                connection.client,
                source=f"specstream/{SERVICE}",
                consumers=names_of(SERVICE),
                on_stuck=progress.cannot_follow,
            )
        )
        cluster = adapt_cluster(
            LocalCluster(settings.home.expanduser() / "replicas", grace_seconds=settings.grace_seconds)
        )
        await run_until_stopped(
            lambda: [
                watch_cluster(
                    log,
                    cluster,
                    Prober(addresses=settings.addresses),
                    progress=progress,
                    clock=utc_now,
                    ticks=monotonic,
                )
            ],
            heartbeat=connection.heartbeat,
            progress=progress,
        )
