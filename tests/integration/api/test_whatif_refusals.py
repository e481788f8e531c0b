"""What a trial of a policy refuses, and what it says of a deployment that has no load."""

from datetime import timedelta

import pytest

from libs.common.clock import to_rfc3339
from libs.common.clock import utc_now as now
from tests.support.rest import RunningApi, a_config

CPU = {"metric": "cpu", "summary": "average", "value": 50}
BY_CPU = {"maxReplicas": 5, "metrics": [CPU]}
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
    refused = await api.http.post(f"/v1/deployments/{stopped}/whatif", json=body)
    (issue,) = refused.json()["issues"]
    assert (refused.status_code, issue["path"], issue["value"]) == (400, ["replicas"], 0)
    assert issue["allowed"] == "a spec of the deployment with 1 to 1000"
    await api.http.delete(f"/v1/deployments/{stopped}")
    for gone in (stopped, "f" * 32):
        assert await api.status("POST", f"/v1/deployments/{gone}/whatif", json=body) == (404, "NOT_FOUND")
