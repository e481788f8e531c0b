"""One deployment that cannot be taken in does not keep the autoscaler from all others."""

from libs.common.log.memory import MemoryLog
from tests.support.autoscaling import Autoscaler
from tests.support.deployments import Storyteller
from tests.support.poison import PoisonedLog
from tests.support.polling import eventually


async def test_others_go_on_it_is_named_and_comes_back() -> None:
    log = PoisonedLog(MemoryLog())
    sick, well = Storyteller(log), Storyteller(log)
    await sick.create()
    log.poisoned = {sick.deployment_id}
    async with Autoscaler(log).running() as autoscaler:
        progress, views = autoscaler.progress, autoscaler.views
        await eventually(lambda: progress.is_ready)
        await well.create()
        await eventually(lambda: well.deployment_id in views.by_id)
        (shown,) = progress.set_aside.values()
        assert (shown.subject, shown.reason) == (sick.deployment_id, "follow: PoisonError")
        await sick.register(spec_id="spec-2")
        log.poisoned = set()
        await eventually(lambda: not progress.set_aside)
        deployment = views.by_id[sick.deployment_id].deployment
        assert deployment is not None
        assert (deployment.is_created, deployment.spec_id) == (True, "spec-2")
