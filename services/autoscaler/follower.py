"""The autoscaler keeps up with every deployment. It decides nothing: replicas are what the spec says."""

import structlog

from libs.common.events.envelope import Recorded
from libs.common.log.port import EventLog
from libs.common.log.worlds import follow_worlds
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.state.world import DeploymentWorld, Worlds

logger = structlog.get_logger()


async def follow(log: EventLog, worlds: Worlds, progress: Progress) -> None:
    """Never returns. Ready once all that was stored at the start is taken in."""

    def on_caught_up(sequence: int) -> None:
        progress.applied(sequence)
        progress.is_ready = True
        logger.info("caught up", sequence=sequence, deployments=len(worlds.by_id))

    def on_change(_: DeploymentWorld, event: Recorded) -> None:
        progress.applied(event.sequence)

    aside = Aside("follow", progress.set_aside)
    await follow_worlds(
        log, worlds, aside, on_caught_up=on_caught_up, on_change=on_change, on_importing=progress.hold
    )
