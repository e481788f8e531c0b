"""What this service does, over adapters: follow the log, and watch the cluster while this copy leads."""

import asyncio

from libs.common.clock import Clock, Ticks
from libs.common.cluster.port import Cluster
from libs.common.leading import ALWAYS, Leading, while_leading
from libs.common.log.port import EventLog
from libs.common.log.snapshots import Snapshot
from libs.common.runtime import Progress
from libs.common.state.aggregates import followed_by
from libs.common.state.view import Views
from libs.common.tails.port import Tails
from services.health.follower import Follower
from services.health.last_words import LastWordsKeeper
from services.health.loop import Watch
from services.health.prober import Prober
from services.health.records import Records
from services.health.telling import Publish


async def watch_cluster(
    log: EventLog,
    cluster: Cluster,
    prober: Prober,
    *,
    progress: Progress,
    clock: Clock,
    ticks: Ticks,
    snapshot: Snapshot | None = None,
    publish: Publish | None = None,
    tails: Tails | None = None,
    ends_within_s: float = 60.0,
    leading: Leading = ALWAYS,
) -> None:
    """Never returns. Nothing is decided before the log is read.

    Of several copies the leading one watches. Another one follows the log, so that it knows every roster when
    it comes to lead; how the checks of each process stand it takes from there, as after a restart.

    tails: where last words go that the cluster does not keep. ends_within_s: how long a replica takes to end.
    """
    records = Records(log, Views(followed_by("health")))
    watching: Watch | None = None
    must_load = False
    caught_up = asyncio.Event()

    def wake_for(deployment_id: str) -> None:
        if watching is not None:
            watching.wake_for(deployment_id)
        else:
            records.close_if_empty(deployment_id)

    def on_caught_up() -> None:
        nonlocal must_load
        if caught_up.is_set() and watching is not None:
            watching.read_again()
        else:
            must_load = caught_up.is_set()
        caught_up.set()

    async def lead() -> None:
        nonlocal watching, must_load
        last_words = None
        if tails is not None and not cluster.abilities.keeps_last_words:
            last_words = LastWordsKeeper(cluster, tails, exists=records.exists, ends_within_s=ends_within_s)
        watching = Watch(
            cluster,
            records,
            prober,
            progress=progress,
            clock=clock,
            ticks=ticks,
            publish=publish,
            leads=lambda: leading.is_held,
            last_words=last_words,
        )
        if must_load:
            watching.read_again()
            must_load = False
        try:
            await watching.run()
        finally:
            watching.close()
            watching = None
            progress.is_ready, progress.problem = True, ""

    follower = Follower(records, progress=progress, wake_for=wake_for, snapshot=snapshot)
    async with asyncio.TaskGroup() as group:
        group.create_task(follower.run(on_caught_up))
        await caught_up.wait()
        await records.load()
        if not leading.is_held:
            progress.is_ready = True
        group.create_task(while_leading(leading, lead))
