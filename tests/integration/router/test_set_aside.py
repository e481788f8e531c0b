"""A deployment of which nothing can be recorded does not keep the others from being drained."""

from libs.common.events.deployment import DeploymentDeleted
from libs.common.events.rollout import WorkloadRemoved
from libs.common.log.jetstream import JetStreamLog
from tests.integration.router.test_draining import is_withdrawn
from tests.support.poison import PoisonedLog
from tests.support.polling import eventually
from tests.support.routed import Routed, a_served
from tests.support.upstream import upstreams


async def poisoned(routed: Routed) -> tuple[JetStreamLog, PoisonedLog]:
    """The log, and the one in its place that the next router appends to."""
    await routed.stop_router()
    inner, log = routed.log, PoisonedLog(routed.log)
    routed.log = log  # type: ignore[assignment]  # it has all that a log has
    return inner, log


async def test_one_that_cannot_be_withdrawn(routed: Routed) -> None:
    inner, log = await poisoned(routed)
    router = await routed.start_router()
    async with upstreams("r1", "r2") as (one, other):
        sick, well = await a_served(routed, one), await a_served(routed, other)
        sick.log = inner
        log.refused = {sick.deployment_id}
        await sick.retire("r1")
        await eventually(
            lambda: {one.subject for one in router.progress.set_aside.values()} == {sick.deployment_id},
        )
        await well.retire("r2")
        await is_withdrawn(well, "r2")
        assert await sick.withdrawn() == frozenset()
        log.refused = set()
        await is_withdrawn(sick, "r1")
        await eventually(lambda: router.progress.set_aside == {})


async def test_one_of_which_nobody_is_left_meanwhile(routed: Routed) -> None:
    inner, log = await poisoned(routed)
    router = await routed.start_router()
    async with upstreams("r1") as (one,):
        sick = await a_served(routed, one)
        sick.log = inner
        log.refused = {sick.deployment_id}
        await sick.retire("r1")
        await eventually(lambda: router.progress.set_aside)
        await sick.tell(DeploymentDeleted(name="demo"), WorkloadRemoved())
        await eventually(lambda: router.progress.set_aside == {})
