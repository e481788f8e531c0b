"""Nobody who asks the api sees time run backwards, whatever the clock of the broker did."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from libs.common.clock import to_rfc3339
from libs.common.log.memory import MemoryLog
from tests.support.deployments import Storyteller
from tests.support.poison import PoisonedLog
from tests.support.polling import eventually
from tests.support.rest import RunningApi, a_config, running_api

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


class Clock:
    """Goes on by a second at each look, and can be set back."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


async def all_times(api: RunningApi, deployment_id: str) -> list[str]:
    """Of its events, in their order."""
    events = (await api.get("/v1/events", deploymentId=deployment_id, limit=1000))["items"]
    return [event["time"] for event in events]


async def test_shown_times_never_decrease_and_fit_together(tmp_path: Path):
    clock = Clock()
    log = MemoryLog(clock, source="specstream/api")
    async with running_api(tmp_path, log) as api:
        deployment_id = await api.submit(a_config(replicas=1))
        story = Storyteller(log, deployment_id)
        clock.now -= timedelta(hours=1)
        await api.submit(a_config(replicas=2))
    async with running_api(tmp_path, log) as api:  # what is known of the times outlives a restart
        await api.submit(a_config(replicas=3))
        spec_id = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]["id"]
        await story.apply(spec_id=spec_id, run_id="run-1")
        clock.now += timedelta(hours=2)
        await api.submit(a_config(replicas=4))

        stored = [event.time async for event in log.read(">")]
        assert stored != sorted(stored)
        times = await all_times(api, deployment_id)
        assert times == sorted(times)
        assert len(set(times)) == 2
        history = (await api.get(f"/v1/deployments/{deployment_id}/history"))["items"]
        assert [spec["dtCreated"] for spec in history] == [times[-1], *[times[0]] * 3]
        assert history[1]["externalApplied"] == times[0]
        activity = (await api.get("/v1/projects/default/activity"))["items"]
        created = [one["dtCreated"] for one in activity]
        assert created == sorted(created, reverse=True)

        # A moment means what lies at or before it as it is shown.
        end = await log.last_sequence()
        for at, sequence in ((times[0], end - 1), (times[-1], end), (to_rfc3339(NOON), 0)):
            place = await api.api.log.sequence_at(
                datetime.fromisoformat(at), timeline=api.api.projector.timeline
            )
            assert place == sequence
        then = await api.get(f"/v1/deployments/{deployment_id}", at=times[0])
        assert then["latestSpec"]["data"]["resources"]["replicas"] == 3
        assert then["latestSpec"]["externalApplied"] == times[0]
        assert then["latestSpec"]["dtCreated"] == times[0]
        assert (await api.get("/v1/log/verify"))["ok"]


async def test_what_an_earlier_read_model_saw_is_what_a_replay_sees(tmp_path: Path):
    """Also where an event could not be taken in at first, and its batch was taken in one by one."""
    clock = Clock()
    log = PoisonedLog(MemoryLog(clock, source="specstream/api"))
    async with running_api(tmp_path / "elsewhere", log) as api:
        ids = []
        for number in range(6):
            clock.now += timedelta(minutes=[0, 5, -10, 3, -1, 20][number])
            ids.append(await api.submit(a_config(f"d{number}")))
    log.poisoned = {ids[3]}
    async with running_api(tmp_path / "here", log) as api:
        log.poisoned = set()

        async def nothing_is_set_aside() -> bool:
            return not api.api.projector.progress.set_aside

        await eventually(nothing_is_set_aside)
        assert (await api.get("/v1/log/verify"))["ok"]
        shown = (await api.get("/v1/deployments", limit=100, order="asc"))["items"]
        created = [deployment["dtCreated"] for deployment in shown]
        assert all(one <= other for one, other in pairwise(created))
