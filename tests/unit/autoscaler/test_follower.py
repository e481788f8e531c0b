"""The autoscaler's follower takes in what there is, then what comes."""

from libs.common.events.deployment import DeploymentCreated
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.log.memory import MemoryLog
from tests.support.autoscaling import Autoscaler
from tests.support.polling import eventually

CAUSE = Cause(actor="key:default", correlation_id="c")


async def create(log: MemoryLog, deployment_id: str) -> int:
    draft = Draft(Aggregate("default", "deployment", deployment_id), DeploymentCreated(name=deployment_id))
    return (await log.append([draft], heads={}, cause=CAUSE)).sequence


async def test_it_is_ready_when_the_past_is_taken_in_and_goes_on_with_the_present() -> None:
    log = MemoryLog()
    before = await create(log, "d1")
    async with Autoscaler(log).running() as autoscaler:
        progress, views = autoscaler.progress, autoscaler.views
        await eventually(lambda: progress.is_ready)
        assert progress.applied_sequence == before
        assert set(views.by_id) == {"d1"}
        after = await create(log, "d2")
        await eventually(lambda: progress.applied_sequence == after)
        assert set(views.by_id) == {"d1", "d2"}
