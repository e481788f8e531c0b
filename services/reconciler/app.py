"""Wiring of the reconciler: the only place that knows what is real."""

import os
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from libs.common import telemetry
from libs.common.bus.broker import close, make_broker
from libs.common.bus.heartbeat import HeartbeatPublisher
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.port import Cluster
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import EventLog
from libs.common.runtime import Progress, run_until_stopped
from services.reconciler.converge import Reconciler
from services.reconciler.handlers import subscribe
from services.reconciler.loop import Resync
from services.reconciler.settings import Settings

SERVICE = "reconciler"

T = TypeVar("T")


def identity(adapter: T) -> T:
    return adapter


async def run(
    settings: Settings,
    *,
    adapt_log: Callable[[EventLog], EventLog] = identity,
    adapt_cluster: Callable[[Cluster], Cluster] = identity,
) -> None:
    """Until SIGTERM. The two hooks let another composition wrap the adapters."""
    telemetry.setup(SERVICE, otlp_endpoint=settings.otlp_endpoint, level=settings.log_level)
    broker = make_broker(settings, service=SERVICE)
    client = await broker.connect()
    log = adapt_log(JetStreamLog(client, source=f"specstream/{SERVICE}"))
    cluster = adapt_cluster(
        LocalCluster(settings.home.expanduser() / "replicas", grace_seconds=settings.grace_seconds)
    )
    progress = Progress()
    reconciler = Reconciler(log, cluster)
    resync = Resync(log, cluster, reconciler, progress, interval_s=settings.resync_seconds)
    subscribe(broker, reconciler, progress, service=SERVICE)
    await broker.start()
    try:
        await run_until_stopped(
            lambda: [resync.follow(), resync.run()],
            heartbeat=HeartbeatPublisher(broker, service=SERVICE, pid=os.getpid()),
            progress=progress,
            on_stop=partial(close, broker),
        )
    finally:
        telemetry.shutdown()
