"""What a decision of the autoscaler changes in the answers, and that every reader has the same number."""

import itertools

import pytest

from libs.common.events.rollout import SpecHealthy
from libs.common.events.scaling import ReplicasDecided
from libs.common.scaling.cause import Cause as Why
from libs.common.spec.model import Autoscaling
from tests.support.deployments import Storyteller
from tests.support.rest import RunningApi, a_config

ONE = "1" * 32
BY_CPU = {"maxReplicas": 5, "metrics": [{"metric": "cpu", "summary": "average", "value": 50}]}


def by_load(replicas: int = 1, **changes) -> dict:
    return a_config(replicas=replicas, autoscaling={**BY_CPU, **changes})


def decided(replicas: int, *, stretch_id: str, spec_id: str = "any", before: int = 1) -> ReplicasDecided:
    return ReplicasDecided(
        spec_id=spec_id,
        stretch_id=stretch_id,
        from_replicas=before,
        to_replicas=replicas,
        floor=1,
        policy=Autoscaling.model_validate(BY_CPU),
        reason=Why.METRIC_ABOVE_TARGET,
    )


async def newest_spec(api: RunningApi, deployment_id: str) -> dict:
    return (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]


async def number(api: RunningApi, deployment_id: str) -> int:
    """What the runs show; 0 where there is none."""
    runs = await api.get(f"/v1/deployments/{deployment_id}/runs")
    view = await Storyteller(api.api.log, deployment_id).view()
    assert view is not None
    shown = runs[0]["replicas"] if runs else 0
    assert shown == view.wanted_replicas
    return shown


async def test_a_decision_shows_in_runs_and_activity_and_the_floor_says_what_is_ready(api: RunningApi):
    deployment_id = await api.submit(by_load())
    spec = await newest_spec(api, deployment_id)
    ids = {"spec_id": spec["id"], "run_id": spec["runId"]}
    story = Storyteller(api.api.log, deployment_id)
    await story.apply(**ids)
    await story.ready(ONE, "127.0.0.1:1", **ids)
    await story.tell(SpecHealthy(**ids, replicas=1))
    before = await api.api.log.last_sequence()
    await story.tell(decided(4, stretch_id=spec["id"]))
    await story.tell(decided(9, stretch_id=spec["id"], before=4))
    assert await number(api, deployment_id) == 5
    assert (await api.get(f"/v1/deployments/{deployment_id}"))["status"] == "ready"
    items = (await api.get("/v1/projects/default/activity", deploymentId=deployment_id))["items"]
    assert [(one["action"], one["data"]) for one in items] == [
        ("deployment.scaled", {"from": 4, "to": 5}),
        ("deployment.scaled", {"from": 1, "to": 4}),
        ("deployment.created", None),
    ]
    for place in (before, await api.api.log.last_sequence()):
        then = await api.get(f"/v1/deployments/{deployment_id}", at=place)
        assert then["status"] == "ready"
    assert (await api.get("/v1/log/verify"))["ok"]


async def test_a_decision_of_another_stretch_changes_nothing(api: RunningApi):
    deployment_id = await api.submit(by_load())
    first = (await newest_spec(api, deployment_id))["id"]
    story = Storyteller(api.api.log, deployment_id)
    await story.tell(decided(4, stretch_id=first))
    await api.submit(by_load(enabled=False))
    assert await number(api, deployment_id) == 1
    await story.tell(decided(3, stretch_id=first, before=4))
    await api.submit(by_load())
    assert await number(api, deployment_id) == 1
    items = (await api.get("/v1/projects/default/activity", deploymentId=deployment_id))["items"]
    assert [one["action"] for one in items] == [
        "deployment.autoscaling.enabled",
        "deployment.autoscaling.disabled",
        "deployment.scaled",
        "deployment.created",
    ]


SPECS = [by_load(1, maxReplicas=3), by_load(2, maxReplicas=4), by_load(2, maxReplicas=8)]
DECISIONS = [5, 1, 7]


@pytest.mark.parametrize("places", list(itertools.combinations(range(6), 3)), ids=str)
async def test_whatever_the_order_of_specs_and_decisions_the_number_is_the_same(
    api: RunningApi, places: tuple[int, ...]
):
    """places: of the decisions among both."""
    deployment_id = await api.submit(by_load())
    first = (await newest_spec(api, deployment_id))["id"]
    story = Storyteller(api.api.log, deployment_id)
    specs, decisions = iter(SPECS), iter(DECISIONS)
    for place in range(6):
        if place in places:
            await story.tell(decided(next(decisions), stretch_id=first))
        else:
            await api.submit(next(specs))
        await number(api, deployment_id)
    assert await number(api, deployment_id) == 7
