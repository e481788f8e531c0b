"""The autoscaler keeps up with every deployment. It decides nothing: replicas are what the spec says."""

import structlog

from libs.common.events.envelope import Recorded
from libs.common.log.port import EventLog
from libs.common.log.snapshots import Snapshot
from libs.common.log.views import follow_views
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.state.view import DeploymentView, Views

logger = structlog.get_logger()


async def follow(log: EventLog, views: Views, progress: Progress, snapshot: Snapshot | None = None) -> None:
    """Never returns. Ready once all that was stored at the start is taken in."""

    def on_caught_up(sequence: int) -> None:
        progress.applied(sequence)
        progress.is_ready = True
        logger.info("caught up", sequence=sequence, deployments=len(views.by_id))

    def on_change(_: DeploymentView, event: Recorded) -> None:
        progress.applied(event.sequence)

    aside = Aside("follow", progress.set_aside)
    await follow_views(
        log,
        views,
        aside,
        on_caught_up=on_caught_up,
        on_change=on_change,
        on_importing=progress.hold,
        snapshot=snapshot,
    )
