"""Every operation of ours that is published answers as the description says; more fields are allowed."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import schemathesis

from libs.common.cluster.local.home import Home
from services.api.edge.rest import ROUTERS
from services.api.points.minutes import DeploymentPoint, GpuPoint, Minute, ReplicaPoint
from tests.support.deployments import Storyteller
from tests.support.rest import RunningApi, a_config, running_api

PUBLISHED = json.loads(Path(__file__).with_name("paperspace-v1.json").read_text())
DESCRIPTION = schemathesis.openapi.from_dict(PUBLISHED)

GIT = {
    "x-git-actor": "zoe",
    "x-git-host": "github",
    "x-git-owner": "acme",
    "x-git-ref": "refs/heads/main",
    "x-git-repo": "models",
    "x-git-sha": "abc",
}
REPLICA = "1" * 32
LINES = ("starting", "ready, at last", "")
METRICS = {
    parameter["name"]: parameter["schema"]["enum"]
    for parameter in PUBLISHED["paths"]["/deployments/{id}/metrics"]["get"]["parameters"]
    if parameter["name"] == "metric"
}["metric"]

OURS = {
    (method, route.path.removeprefix("/v1"))
    for router in ROUTERS
    for route in router.routes
    for method in route.methods
}
SHARED = sorted(
    (method.upper(), path)
    for path, operations in PUBLISHED["paths"].items()
    for method in operations
    if (method.upper(), path) in OURS
)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[RunningApi]:
    async with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def ids(api: RunningApi, tmp_path: Path) -> dict[str, str]:
    """Of a deployment that scaled by metrics, scales by requests in flight, and has a replica that was
    measured and has written lines; and of an empty project."""
    by_metrics = {"maxReplicas": 3, "metrics": [{"metric": "cpu", "summary": "average", "value": 50}]}
    submitted = await api.http.post(
        "/v1/deployments",
        json={"config": a_config(autoscaling=by_metrics), "projectId": "default"},
        headers=GIT,
    )
    deployment_id = submitted.json()["deploymentId"]
    await api.submit(a_config(replicas=2, autoscaling={"maxReplicas": 3, "concurrency": {}}))
    spec = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    named = {"spec_id": spec["id"], "run_id": spec["runId"]}
    story = Storyteller(api.api.log, deployment_id)
    await story.apply(**named)
    await story.ready(REPLICA, "127.0.0.1:1", **named)
    write_lines(Home(tmp_path / "replicas"), deployment_id)
    put_points(api, deployment_id)
    project = await api.http.post("/v1/projects", json={"name": "empty"})
    return {"deployments": deployment_id, "projects": project.json()["id"]}


def write_lines(home: Home, deployment_id: str) -> None:
    """As the local cluster keeps what a replica wrote."""
    replica = home.deployment(deployment_id) / REPLICA
    replica.mkdir(parents=True)
    (replica / "record.json").write_text(json.dumps({"order": 0}))
    (replica / "log").write_text("".join(f"{message}\n" for message in LINES))


def put_points(api: RunningApi, deployment_id: str) -> None:
    """Of one minute that is over, everything that is measured."""
    minute = Minute(
        int(api.api.clock().timestamp()) // 60 - 2,
        True,
        {deployment_id: DeploymentPoint(60.0, 0.0, 0.0, 15e6, 0.5, 2**29, 1.0)},
        {(deployment_id, REPLICA): ReplicaPoint(0.5, 2**29, 2.0, 1.0)},
        {(deployment_id, REPLICA, 0): GpuPoint(40.0, None)},
    )
    api.api.points.put(minute)


def test_the_operations_of_the_reference_that_deployments_need_are_here():
    assert {
        ("GET", "/auth/session"),
        ("GET", "/deployments"),
        ("POST", "/deployments"),
        ("GET", "/deployments/{id}"),
        ("DELETE", "/deployments/{id}"),
        ("GET", "/deployments/{id}/history"),
        ("GET", "/deployments/{id}/logs"),
        ("GET", "/deployments/{id}/runs"),
        ("GET", "/projects"),
        ("POST", "/projects"),
        ("GET", "/projects/{id}"),
        ("PUT", "/projects/{id}"),
        ("DELETE", "/projects/{id}"),
        ("GET", "/projects/{id}/activity"),
        ("GET", "/projects/{id}/deployments"),
        ("GET", "/health"),
    } <= set(SHARED)


@pytest.mark.parametrize(("method", "path"), SHARED, ids=str)
async def test_an_operation_answers_as_published(
    api: RunningApi, ids: dict[str, str], method: str, path: str
):
    kind = path.split("/")[1]
    has_deployments = path in {"/projects/{id}/activity", "/projects/{id}/deployments"}
    one = "default" if has_deployments else ids.get(kind, "")
    response = await api.http.request(
        method,
        "/v1" + path.replace("{id}", one),
        params={"metric": "cpu"} if path.endswith("/metrics") else {},
        json=_body(method, path),
        headers=GIT,
    )
    if path != "/health":  # nobody else runs here, so it is refused: the error has its published shape too
        assert response.status_code == 200, response.text
    if response.status_code == 200:
        said = response.json()
        shown = said["items"] if isinstance(said, dict) and "items" in said else said
        assert shown, "nothing in the answer proves nothing"
    DESCRIPTION[path][method].validate_response(response)


@pytest.mark.parametrize("metric", METRICS)
async def test_each_metric_answers_as_published(api: RunningApi, ids: dict[str, str], metric: str):
    path = "/deployments/{id}/metrics"
    response = await api.http.get("/v1" + path.replace("{id}", ids["deployments"]), params={"metric": metric})
    assert response.status_code == 200, response.text
    assert response.json(), "nothing in the answer proves nothing"
    DESCRIPTION[path]["GET"].validate_response(response)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_page_of_lines_goes_on_behind_the_id_of_any_of_them(
    api: RunningApi, ids: dict[str, str], order: str
):
    path = "/deployments/{id}/logs"
    found, after = [], {}
    for number in range(1, len(LINES) + 1):
        response = await api.http.get(
            "/v1" + path.replace("{id}", ids["deployments"]), params={"limit": 1, "order": order, **after}
        )
        DESCRIPTION[path]["GET"].validate_response(response)
        page = response.json()
        assert page["hasMore"] is (number < len(LINES))
        (item,) = page["items"]
        found.append(item)
        after = {"after": item["id"]}
    messages = [item["message"] for item in found]
    assert messages == list(LINES if order == "asc" else reversed(LINES))
    assert {(item["jobId"], item["instanceId"]) for item in found} == {(ids["deployments"], REPLICA)}
    assert len({item["id"] for item in found}) == len({UUID(item["uuid"]) for item in found}) == len(LINES)


async def test_scaling_by_requests_in_flight_is_shown_with_the_field_that_is_published(
    api: RunningApi, ids: dict[str, str]
):
    newer, older = (await api.get(f"/v1/deployments/{ids['deployments']}/history"))["items"]
    shown = [item["data"]["resources"]["autoscaling"] for item in (newer, older)]
    assert [(len(block["metrics"]), "concurrency" in block) for block in shown] == [(0, True), (1, False)]


def _body(method: str, path: str) -> Any:
    if method == "POST" and path == "/deployments":
        return {"config": a_config("another"), "projectId": "default", "deploymentId": None}
    return {"name": "another"} if method in {"POST", "PUT"} else None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/deployments/nobody"),
        ("GET", "/deployments?limit=0"),
        ("POST", "/deployments"),
        ("DELETE", "/projects/default"),
    ],
)
async def test_a_refusal_has_the_published_shape(api: RunningApi, method: str, path: str):
    response = await api.http.request(method, f"/v1{path}", json={})
    assert response.status_code >= 400
    operation = path.split("?", maxsplit=1)[0].replace("nobody", "{id}").replace("default", "{id}")
    DESCRIPTION[operation][method].validate_response(response)


async def test_git_headers_have_the_published_names_and_none_are_null(api: RunningApi, ids: dict[str, str]):
    history = (await api.get(f"/v1/deployments/{ids['deployments']}/history"))["items"]
    assert [item["metadata"] for item in history] == [None, {"gitHeaders": GIT}]


@pytest.mark.usefixtures("ids")
async def test_activity_names_its_actor_and_has_uuids(api: RunningApi):
    items = (await api.get("/v1/projects/default/activity"))["items"]
    assert len({UUID(item["id"]) for item in items}) == len(items) > 1
    assert {item["actor"]["fullName"] for item in items} == {"key:default"}
    assert (await api.get("/v1/projects/default/activity"))["items"] == items


async def test_a_deleted_project_is_answered_as_it_was(api: RunningApi, ids: dict[str, str]):
    deleted = (await api.http.delete(f"/v1/projects/{ids['projects']}")).json()
    assert (deleted["id"], deleted["name"], bool(deleted["dtDeleted"])) == (ids["projects"], "empty", True)
