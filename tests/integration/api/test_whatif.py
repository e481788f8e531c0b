"""Trying a policy on recorded minutes over REST."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.clock import to_rfc3339
from libs.common.clock import utc_now as now
from libs.common.events.scaling import ReplicasDecided
from libs.common.machine_types.reading import bundled
from libs.common.scaling.hpa_decision import Cause as Why
from libs.common.spec.model import Autoscaling
from services.api.points.minutes import DeploymentPoint, Minute
from tests.support.deployments import Storyteller
from tests.support.rest import RunningApi, a_config

CPUS = bundled()["C4"].cpus
CPU = {"metric": "cpu", "summary": "average", "value": 50}
BY_CPU = {"maxReplicas": 5, "metrics": [CPU]}


def minute_of(moment: datetime) -> int:
    return int(moment.timestamp() // 60)


def record(api: RunningApi, deployment_id: str, first: int, cores: list[float | None]) -> None:
    for number, used in enumerate(cores, first):
        known = {} if used is None else {deployment_id: DeploymentPoint(cpu_cores=used, replicas=1)}
        api.api.points.put(Minute(number, True, known, {}))


async def tried(api: RunningApi, deployment_id: str, **body) -> dict:
    answer = await api.http.post(
        f"/v1/deployments/{deployment_id}/whatif", json={"autoscaling": BY_CPU, **body}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_both_sides_on_the_same_minutes(api: RunningApi):
    deployment_id = await api.submit(a_config(autoscaling={**BY_CPU, "maxReplicas": 2}))
    begin = now() - timedelta(minutes=30)
    first = minute_of(begin) + 5
    load = [0.4 * CPUS] * 5 + [2.0 * CPUS] * 15
    record(api, deployment_id, first, load)
    found = await tried(api, deployment_id, **{"from": to_rfc3339(begin)})
    assert found["recordedFrom"] == to_rfc3339(datetime.fromtimestamp(first * 60, UTC))
    assert found["resolutionSeconds"] == 60
    assert len(found["assumptions"]) > 3
    assert found["actual"]["peak"] == found["series"][-1]["actual"]
    assert (found["proposed"]["peak"], found["proposed"]["changes"]) == (4, 1)
    assert found["proposed"]["minutesAboveTarget"] < found["actual"]["minutesAboveTarget"]
    assert found["proposed"]["replicaHours"] > found["actual"]["replicaHours"]
    assert found["unpriced"] == ["C4"]
    assert found["actual"]["cost"] is None
    assert [(one["proposed"]) for one in found["series"]][-1] == 4


async def test_the_actual_numbers_are_those_that_were_in_force(api: RunningApi):
    deployment_id = await api.submit(a_config(autoscaling=BY_CPU))
    spec_id = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]["id"]
    story = Storyteller(api.api.log, deployment_id)
    await story.tell(
        ReplicasDecided(
            spec_id=spec_id,
            stretch_id=spec_id,
            from_replicas=1,
            to_replicas=3,
            floor=1,
            policy=Autoscaling.model_validate(BY_CPU),
            reason=Why.METRIC_ABOVE_TARGET,
        )
    )
    later = now() + timedelta(minutes=3)
    first = minute_of(now()) - 1
    record(api, deployment_id, first, [0.1] * 3)
    api.at(later)
    found = await tried(api, deployment_id, **{"from": to_rfc3339(later - timedelta(minutes=10))})
    assert found["series"][-1]["actual"] == 3
    assert found["actual"]["peak"] == 3


async def test_nothing_recorded_is_said(api: RunningApi):
    deployment_id = await api.submit(a_config())
    found = await tried(api, deployment_id, **{"from": to_rfc3339(now() - timedelta(hours=1))})
    assert (found["recordedFrom"], found["actual"], found["proposed"], found["series"]) == (
        None,
        None,
        None,
        [],
    )


HOUR_AGO = to_rfc3339(now() - timedelta(hours=1))


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({"from": "yesterday"}, ["from"], "is not a time"),
        ({"from": HOUR_AGO, "to": "2001-01-01T00:00:00Z"}, ["from"], "is not before `to`"),
        ({"from": HOUR_AGO, "to": "2999-01-01T00:00:00Z"}, ["to"], "is in the future"),
        ({"from": to_rfc3339(now() - timedelta(days=16))}, ["from"], "is too long before `to`"),
        ({}, ["from"], "is required"),
        ({"from": HOUR_AGO, "until": 1}, ["until"], "is not a known field"),
        ({"from": HOUR_AGO, "autoscaling": []}, ["autoscaling"], "must be an object"),
        ({"from": HOUR_AGO, "autoscaling": None}, ["autoscaling"], "must not be null"),
        (
            {"from": HOUR_AGO, "autoscaling": {**BY_CPU, "maxReplicas": 1}},
            ["autoscaling", "maxReplicas"],
            "must be at least replicas (2)",
        ),
        (
            {"from": HOUR_AGO, "autoscaling": {**BY_CPU, "metrics": [CPU, CPU]}},
            ["autoscaling", "metrics", 1, "metric"],
            "is scaled by already in entry 0",
        ),
    ],
)
async def test_bad_input_is_named(api: RunningApi, body: dict, path: list, message: str):
    deployment_id = await api.submit(a_config(replicas=2))
    answer = await api.http.post(
        f"/v1/deployments/{deployment_id}/whatif", json={"autoscaling": BY_CPU, **body}
    )
    assert answer.status_code == 400, answer.text
    (issue,) = answer.json()["issues"]
    assert (issue["path"], message in issue["message"]) == (path, True), issue


async def test_where_load_changes_nothing_or_nothing_is(api: RunningApi):
    body = {"autoscaling": BY_CPU, "from": HOUR_AGO}
    stopped = await api.submit(a_config(replicas=0))
    assert await api.status("POST", f"/v1/deployments/{stopped}/whatif", json=body) == (400, "BAD_REQUEST")
    await api.http.delete(f"/v1/deployments/{stopped}")
    for gone in (stopped, "f" * 32):
        assert await api.status("POST", f"/v1/deployments/{gone}/whatif", json=body) == (404, "NOT_FOUND")
