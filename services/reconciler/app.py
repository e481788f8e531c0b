"""Wiring of the reconciler: the only place that knows what is real."""

from collections.abc import Callable

import structlog

from libs.common.bus import subjects
from libs.common.bus.connection import connected
from libs.common.bus.leading import led
from libs.common.bus.work import watch_waiting
from libs.common.cluster.opening import open_cluster
from libs.common.cluster.port import Cluster
from libs.common.log.jetstream import open_log
from libs.common.log.port import EventLog
from libs.common.log.snapshots import Snapshot
from libs.common.machine_types.reading import machine_types
from libs.common.runtime import Progress, as_it_is, run_until_stopped
from libs.common.set_aside import Aside
from services.reconciler.converge import Reconciler
from services.reconciler.handlers import make_pool, make_pull
from services.reconciler.loop import Resync
from services.reconciler.settings import Settings

logger = structlog.get_logger()

SERVICE = "reconciler"


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
        for notice in cluster.notices:
            logger.warning("cluster_notice", notice=notice)
        progress.detail.update({"notices": list(cluster.notices)})
        reconciler = Reconciler(
            log,
            cluster,
            move_s=settings.move_seconds,
            rollout_s=settings.rollout_seconds,
            machine_types=machine_types(settings.machine_types),
        )
        aside = Aside("reconcile", progress.set_aside)
        async with (
            led(connection.client, settings, progress.lead, service=SERVICE) as lease,
            make_pool(reconciler, progress, aside).open() as pool,
        ):
            resync = Resync(
                log,
                cluster,
                reconciler,
                progress,
                aside,
                interval_s=settings.resync_seconds,
                snapshot=Snapshot.of(SERVICE, settings),
                leading=lease,
            )
            await run_until_stopped(
                lambda: [
                    resync.follow(),
                    resync.run(),
                    make_pull(connection.broker, pool, service=SERVICE, is_done=resync.is_done).run(),
                    watch_waiting(
                        connection.client,
                        stream=subjects.EVENTS_STREAM,
                        durable=subjects.RECONCILER_DURABLE,
                        service=SERVICE,
                    ),
                ],
                heartbeat=connection.heartbeat,
                progress=progress,
            )
