"""What the API shows of a rollout that takes longer than one may."""

from libs.common.events.rollout import RolloutPhase, RolloutProgressed
from tests.support.deployments import Storyteller
from tests.support.rest import a_config, running_api


async def test_a_stalled_rollout_says_why_until_it_goes_on(tmp_path):
    async with running_api(tmp_path) as api:
        deployment_id = await api.submit(a_config())
        spec = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
        story = Storyteller(api.api.log, deployment_id)
        shown = []
        for phase, message in [
            (RolloutPhase.WAITING_FOR_READY, "exceeded quota"),
            (RolloutPhase.STALLED, "no room"),
            (RolloutPhase.COMPLETE, None),
        ]:
            progress = RolloutProgressed(
                spec_id=spec["id"],
                run_id=spec["runId"],
                phase=phase,
                replicas=1,
                ready_replicas=0,
                leaving_replicas=0,
                message=message,
            )
            await story.tell(progress)
            (run,) = await api.get(f"/v1/deployments/{deployment_id}/runs")
            shown.append(run["stalled"])
        assert shown == [None, "no room", None]
        assert (await api.get("/v1/log/verify"))["ok"]
