"""What clients are answered, address by address."""

from datetime import timedelta

import httpx
import pytest

from libs.common.clock import to_rfc3339, utc_now
from tests.support.rest import RunningApi, a_config

NOBODY = "0" * 32


async def test_a_submitted_deployment_is_seen_at_once(api: RunningApi):
    deployment_id = await api.submit(a_config())
    deployment = await api.get(f"/v1/deployments/{deployment_id}")
    spec = deployment["latestSpec"]
    assert deployment["endpoint"] == f"d{deployment_id}.localhost:8081"
    assert (deployment["name"], deployment["projectId"]) == ("demo", "default")
    assert spec["data"]["resources"] == {"machineType": "C4", "ports": [8000], "replicas": 1}
    assert spec["deploymentId"] == deployment_id
    nullable = ("externalApplied", "dtHealthy", "error")
    assert all(spec[name] is None for name in nullable)
    assert (spec["userId"], spec["metadata"]) == ("key:default", None)
    assert deployment["latestSpecHash"]


async def test_the_answer_to_a_submission_is_the_id_alone(api: RunningApi):
    answer = await api.http.post("/v1/deployments", json={"config": a_config(), "projectId": "default"})
    assert list(answer.json()) == ["deploymentId"]
    assert answer.headers["x-correlation-id"]


async def test_a_name_updates_and_an_identical_spec_registers_nothing(api: RunningApi):
    first = await api.submit(a_config())
    assert await api.submit(a_config(replicas=3)) == first
    before = await api.api.log.last_sequence()
    assert await api.submit(a_config(replicas=3)) == first
    assert await api.api.log.last_sequence() == before
    history = await api.get(f"/v1/deployments/{first}/history")
    assert [item["data"]["resources"]["replicas"] for item in history["items"]] == [3, 1]


async def test_a_latest_spec_can_be_submitted_again(api: RunningApi):
    deployment_id = await api.submit(a_config())
    data = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]["data"]
    before = await api.api.log.last_sequence()
    assert await api.submit(data) == deployment_id
    assert await api.api.log.last_sequence() == before


async def test_an_id_renames_and_keeps_the_run(api: RunningApi):
    deployment_id = await api.submit(a_config())
    before = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]["runId"]
    await api.submit(a_config("other name"), deploymentId=deployment_id)
    renamed = await api.get(f"/v1/deployments/{deployment_id}")
    assert (renamed["name"], renamed["latestSpec"]["runId"]) == ("other name", before)
    assert await api.submit(a_config("demo")) != deployment_id


async def test_a_taken_name_is_a_conflict(api: RunningApi):
    await api.submit(a_config("a"))
    other = await api.submit(a_config("b"))
    body = {"config": a_config("a"), "projectId": "default", "deploymentId": other}
    assert await api.status("POST", "/v1/deployments", json=body) == (409, "CONFLICT")


async def test_moving_to_another_project_is_refused_by_name(api: RunningApi):
    deployment_id = await api.submit(a_config())
    project = (await api.http.post("/v1/projects", json={"name": "team"})).json()
    body = {"config": a_config(), "projectId": project["id"], "deploymentId": deployment_id}
    answer = await api.http.post("/v1/deployments", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert answer.json()["issues"][0]["path"] == ["projectId"]


@pytest.mark.parametrize("project_id", [NOBODY, "nope", "a.b", "*", ">", ""])
async def test_an_unknown_project_is_not_found(api: RunningApi, project_id: str):
    body = {"config": a_config(), "projectId": project_id}
    assert await api.status("POST", "/v1/deployments", json=body) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["", "/history", "/runs", "/logs", "/diff?from=a&to=b", "?at=0"])
@pytest.mark.parametrize("deployment_id", [NOBODY, "nope", "*", "%3E", "a.b", "%00"])
async def test_an_unknown_deployment_is_not_found(api: RunningApi, deployment_id: str, path: str):
    assert await api.status("GET", f"/v1/deployments/{deployment_id}{path}") == (404, "NOT_FOUND")


async def test_a_deleted_deployment_is_gone_but_its_history_stays(api: RunningApi):
    deployment_id = await api.submit(a_config())
    await api.submit(a_config(replicas=2))
    place = await api.api.log.last_sequence()
    answer = await api.http.delete(f"/v1/deployments/{deployment_id}")
    assert (answer.status_code, answer.json()) == (200, {"id": deployment_id})
    for path in ("", "/runs", "/logs", f"?at={await api.api.log.last_sequence()}"):
        assert await api.status("GET", f"/v1/deployments/{deployment_id}{path}") == (404, "NOT_FOUND")
    assert await api.status("DELETE", f"/v1/deployments/{deployment_id}") == (404, "NOT_FOUND")
    newer, older = (await api.get(f"/v1/deployments/{deployment_id}/history"))["items"]
    found = await api.get(f"/v1/deployments/{deployment_id}/diff", **{"from": older["id"], "to": newer["id"]})
    assert found == [{"path": "resources.replicas", "from": 1, "to": 2}]
    assert (await api.get(f"/v1/deployments/{deployment_id}", at=place))["id"] == deployment_id
    assert (await api.get("/v1/events", deploymentId=deployment_id))["items"]
    assert (await api.get("/v1/deployments"))["items"] == []
    assert await api.submit(a_config()) != deployment_id


async def test_a_rollback_registers_an_earlier_spec_as_a_new_one(api: RunningApi):
    deployment_id = await api.submit(a_config())
    await api.submit(a_config("renamed", replicas=5), deploymentId=deployment_id)
    first = (await api.get(f"/v1/deployments/{deployment_id}/history"))["items"][-1]["id"]
    path = f"/v1/deployments/{deployment_id}/rollback"
    answer = (await api.http.post(path, json={"specId": first})).json()
    latest = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    assert answer == {"deploymentId": deployment_id, "specId": latest["id"]}
    assert latest["id"] != first
    assert (latest["data"]["name"], latest["data"]["resources"]["replicas"]) == ("renamed", 1)
    again = (await api.http.post(path, json={"specId": latest["id"]})).json()
    assert again == answer


async def test_a_rollback_to_a_foreign_spec_is_not_found(api: RunningApi):
    one, other = await api.submit(a_config("a")), await api.submit(a_config("b"))
    foreign = (await api.get(f"/v1/deployments/{other}"))["latestSpec"]["id"]
    for spec_id in (foreign, "nope"):
        how = {"json": {"specId": spec_id}}
        assert await api.status("POST", f"/v1/deployments/{one}/rollback", **how) == (404, "NOT_FOUND")
        query = {"params": {"from": spec_id, "to": foreign}}
        assert await api.status("GET", f"/v1/deployments/{one}/diff", **query) == (404, "NOT_FOUND")


async def test_a_past_state_by_sequence_and_by_time(api: RunningApi):
    deployment_id = await api.submit(a_config())
    place, moment = await api.api.log.last_sequence(), to_rfc3339(utc_now())
    await api.submit(a_config(replicas=4))
    for at in (str(place), moment):
        then = await api.get(f"/v1/deployments/{deployment_id}", at=at)
        assert then["latestSpec"]["data"]["resources"]["replicas"] == 1
        assert then["at"]["sequence"] == place
    early = {"params": {"at": "2001-01-01T00:00:00Z"}}
    assert await api.status("GET", f"/v1/deployments/{deployment_id}", **early) == (404, "NOT_FOUND")


@pytest.mark.parametrize("what", ["", "/explain"])
async def test_a_time_in_the_future_is_no_past(api: RunningApi, what: str):
    deployment_id = await api.submit(a_config())
    now = utc_now() + timedelta(minutes=1)
    api.at(now)
    path = f"/v1/deployments/{deployment_id}{what}"
    at = to_rfc3339(now + timedelta(seconds=6))
    answer = await api.http.get(path, params={"at": at})
    allowed = f"a time up to {to_rfc3339(now)}"
    issue = {"path": ["at"], "message": "is in the future", "value": at, "allowed": allowed}
    assert (answer.status_code, answer.json()["issues"]) == (400, [issue])
    clocks_differ = to_rfc3339(now + timedelta(seconds=5))
    then = await api.get(path, at=clocks_differ)
    assert then["at"] == {"sequence": await api.api.log.last_sequence(), "time": clocks_differ}


async def test_a_time_that_an_event_has_is_never_in_the_future(api: RunningApi):
    """The broker's clock may be ahead of the api's."""
    deployment_id = await api.submit(a_config())
    found = await api.get(f"/v1/deployments/{deployment_id}")
    api.at(utc_now() - timedelta(hours=1))
    then = await api.get(f"/v1/deployments/{deployment_id}", at=found["latestSpec"]["dtCreated"])
    assert then["latestSpec"] == found["latestSpec"]


@pytest.mark.parametrize("at", ["", "now", "-1", "1.5", "999999", "9" * 40, "2026-13-01T00:00:00Z", "\x00"])
async def test_a_bad_place_is_refused(api: RunningApi, at: str):
    deployment_id = await api.submit(a_config())
    answer = await api.http.get(f"/v1/deployments/{deployment_id}", params={"at": at})
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert answer.json()["issues"][0]["path"] == ["at"]


async def test_git_headers_are_kept_with_the_spec(api: RunningApi):
    headers = {"x-git-host": "github", "x-git-owner": "acme", "x-git-sha": "abc", "x-other": "no"}
    body = {"config": a_config(), "projectId": "default"}
    answer = await api.http.post("/v1/deployments", json=body, headers=headers)
    deployment = await api.get(f"/v1/deployments/{answer.json()['deploymentId']}")
    git = deployment["latestSpec"]["metadata"]["gitHeaders"]
    given = {name: value for name, value in headers.items() if name.startswith("x-git-")}
    assert git == {"x-git-actor": "", "x-git-ref": "", "x-git-repo": "", **given}


async def test_the_default_project_is_always_there(api: RunningApi):
    assert await api.api.log.last_sequence() == 0
    project = await api.get("/v1/projects/default")
    assert (project["id"], project["name"]) == ("default", "default")
    assert [p["id"] for p in (await api.get("/v1/projects"))["items"]] == ["default"]
    assert await api.status("POST", "/v1/projects", json={"name": "default"}) == (409, "CONFLICT")
    assert await api.status("DELETE", "/v1/projects/default") == (409, "CONFLICT")


async def test_projects_come_and_go_and_keep_their_names_apart(api: RunningApi):
    answer = await api.http.post("/v1/projects", json={"name": "team"})
    project = answer.json()
    assert (answer.status_code, project["name"]) == (200, "team")
    assert await api.status("POST", "/v1/projects", json={"name": "team"}) == (409, "CONFLICT")
    here = await api.submit(a_config())
    there = await api.submit(a_config(), projectId=project["id"])
    assert here != there
    listed = await api.get(f"/v1/projects/{project['id']}/deployments", name="demo")
    assert [d["id"] for d in listed["items"]] == [there]
    path = f"/v1/projects/{project['id']}"
    assert await api.status("DELETE", path) == (409, "CONFLICT")
    await api.http.delete(f"/v1/deployments/{there}")
    deleted = (await api.http.delete(path)).json()
    assert deleted["dtDeleted"]
    assert deleted == project | {"dtDeleted": deleted["dtDeleted"]}
    for gone in (path, f"{path}/deployments", f"{path}/activity"):
        assert await api.status("GET", gone) == (404, "NOT_FOUND")
    assert (await api.http.post("/v1/projects", json={"name": "team"})).status_code == 200


async def test_a_project_is_renamed_and_its_old_name_is_free(api: RunningApi):
    project = (await api.http.post("/v1/projects", json={"name": "team"})).json()
    await api.http.post("/v1/projects", json={"name": "other"})
    path = f"/v1/projects/{project['id']}"
    renamed = await api.http.put(path, json={"name": "crew"})
    assert renamed.json() == project | {"name": "crew"} == await api.get(path)
    before = await api.api.log.last_sequence()
    assert (await api.http.put(path, json={"name": "crew"})).json() == renamed.json()
    assert await api.api.log.last_sequence() == before, "its own name changes nothing"
    assert await api.status("PUT", path, json={"name": "other"}) == (409, "CONFLICT")
    assert await api.status("PUT", path, json={"name": "default"}) == (409, "CONFLICT")
    assert await api.status("PUT", "/v1/projects/default", json={"name": "x"}) == (409, "CONFLICT")
    assert await api.status("PUT", f"/v1/projects/{NOBODY}", json={"name": "x"}) == (404, "NOT_FOUND")
    assert await api.status("PUT", path, json={"title": "x"}) == (400, "BAD_REQUEST")
    assert (await api.http.post("/v1/projects", json={"name": "team"})).status_code == 200


async def test_lists_are_paged_both_ways(api: RunningApi):
    ids = [await api.submit(a_config(f"d{n}")) for n in range(5)]
    for n in range(3):
        await api.http.post("/v1/projects", json={"name": f"p{n}"})
    assert await _walk(api, "/v1/deployments", limit=2) == ids[::-1]
    assert await _walk(api, "/v1/deployments", limit=2, order="asc", orderBy="dtCreated") == ids
    assert (await _walk(api, "/v1/projects", limit=1))[-1] == "default"
    assert (await _walk(api, "/v1/projects", limit=1, order="asc"))[0] == "default"
    assert len(await _walk(api, "/v1/projects", limit=2)) == 4
    assert len(await _walk(api, "/v1/projects/default/activity", limit=2)) == 5


async def _walk(api: RunningApi, path: str, **params) -> list[str]:
    found: list[str] = []
    while True:
        page = await api.get(path, **params)
        found += [item["id"] for item in page["items"]]
        assert ("nextPage" in page) == page["hasMore"]
        if not page["hasMore"]:
            return found
        params["after"] = page["nextPage"]


async def test_activity_tells_what_people_did(api: RunningApi):
    deployment_id = await api.submit(a_config())
    await api.submit(a_config(replicas=3))
    await api.submit(a_config(replicas=3) | {"enabled": False})
    await api.submit(a_config(replicas=3) | {"image": "example/app:2.0"})
    await api.http.delete(f"/v1/deployments/{deployment_id}")
    items = (await api.get("/v1/projects/default/activity", deploymentId=deployment_id))["items"]
    assert [(item["action"], item["data"]) for item in reversed(items)] == [
        ("deployment.created", None),
        ("deployment.scaled", {"from": 1, "to": 3}),
        ("deployment.disabled", None),
        ("deployment.updated", None),
        ("deployment.enabled", None),
        ("deployment.deleted", None),
    ]
    assert items[0]["deployment"]["id"] == deployment_id
    assert items[0]["deployment"]["dtDeleted"]
    assert items[0]["actor"] == {"fullName": "key:default", "email": None, "avatarUrl": None}


async def test_events_are_read_in_order_and_resumed(api: RunningApi):
    deployment_id = await api.submit(a_config())
    await api.submit(a_config(replicas=2))
    page = await api.get("/v1/events", limit=3)
    rest = await api.get("/v1/events", after=page["nextPage"])
    items = page["items"] + rest["items"]
    assert [item["sequence"] for item in items] == [1, 2, 3, 4]
    assert (page["hasMore"], rest["hasMore"], "nextPage" in rest) == (True, False, False)
    for item in items:
        assert set(item) >= {"sequence", "id", "type", "subject", "time", "actor", "data"}
        assert item["subject"].rsplit(".", 1)[-1] == item["type"]
    only = await api.get("/v1/events", type="SpecRegistered", deploymentId=deployment_id)
    assert [item["sequence"] for item in only["items"]] == [3, 4]


async def test_an_unknown_type_of_event_is_refused_with_the_list(api: RunningApi):
    answer = await api.http.get("/v1/events", params={"type": "Nope"})
    assert answer.status_code == 400
    assert "SpecRegistered" in answer.json()["issues"][0]["allowed"]


async def test_an_older_client_may_repeat_a_path_parameter_in_the_query(api: RunningApi):
    deployment_id = await api.submit(a_config())
    assert (await api.get(f"/v1/deployments/{deployment_id}", id=deployment_id))["id"] == deployment_id
    assert await api.get(f"/v1/deployments/{deployment_id}/runs", id=deployment_id, limit=1)
    deleted = await api.http.delete(f"/v1/deployments/{deployment_id}", params={"id": deployment_id})
    assert deleted.json() == {"id": deployment_id}


@pytest.mark.parametrize("path", ["/v1/deployments", "/v1/projects"])
async def test_the_reference_client_sends_flags_that_are_about_itself(api: RunningApi, path: str):
    asked = {"limit": "50", "order": "asc", "json": "true", "fields": "id,name", "log-level": "debug"}
    headers = {"x-client": "paperspace-cli", "x-client-version": "1.10.1"}
    answer = await api.http.get(path, params={**asked, "api-key": "its-key"}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == await api.get(path, limit=50, order="asc")
    for others in ({}, {"x-client": "another"}):
        refused = await api.http.get(path, params={**asked, "api-key": "its-key"}, headers=others)
        names = [issue["path"][0] for issue in refused.json()["issues"]]
        assert (refused.status_code, names) == (400, ["json", "fields", "log-level", "api-key"])
        assert "its-key" not in refused.text


async def test_an_older_client_may_repeat_a_path_parameter_in_the_body(api: RunningApi):
    project = (await api.http.post("/v1/projects", json={"name": "before"})).json()["id"]
    renamed = await api.http.put(f"/v1/projects/{project}", json={"id": project, "name": "after"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "after")
    for other in ("default", None):
        refused = await api.http.put(f"/v1/projects/{project}", json={"id": other, "name": "other"})
        assert [issue["path"] for issue in refused.json()["issues"]] == [["id"]]
    created = await api.http.post("/v1/projects", json={"id": project, "name": "new"})
    assert (created.status_code, created.json()["issues"][0]["path"]) == (400, ["id"])


async def test_the_health_of_an_empty_platform_names_who_is_missing(api: RunningApi):
    anonymous = httpx.AsyncClient(transport=httpx.ASGITransport(api.rest), base_url="http://api")
    async with anonymous:
        answer = await anonymous.get("/v1/health")
    assert answer.status_code == 503
    assert answer.json()["details"]["notReady"] == [
        "api",
        "reconciler",
        "health",
        "autoscaler",
        "router",
        "envoy",
    ]
