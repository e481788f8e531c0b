"""Every refusal has the one shape, the right status and the right code."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi.routing import APIRoute

from services.api.edge.rest import ROUTERS
from tests.support.rest import RunningApi, a_config

MANY = 256 * 1024


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no key"),
        pytest.param({"authorization": "Bearer wrong"}, id="a wrong key"),
        pytest.param({"authorization": "Bearer"}, id="an empty key"),
        pytest.param({"authorization": "Basic test-key"}, id="another scheme"),
        pytest.param({"authorization": "Bearer té"}, id="a key that is not ASCII"),
    ],
)
async def test_without_a_valid_key_nothing_is_told(api: RunningApi, headers: dict[str, str]):
    transport = httpx.ASGITransport(api.rest)
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as anonymous:
        for path in ("/v1/deployments", "/v1/nope", "/v1/log/import", "/"):
            answer = await anonymous.get(path, headers=encoded)
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        pytest.param("GET", "/v1/nope", 404, "NOT_FOUND", id="an unknown path"),
        pytest.param("GET", "/v1/deployments/", 404, "NOT_FOUND", id="a slash too many"),
        pytest.param("PUT", "/v1/deployments", 405, "METHOD_NOT_SUPPORTED", id="a wrong method"),
        pytest.param("DELETE", "/v1/health", 405, "METHOD_NOT_SUPPORTED", id="a wrong method, no key needed"),
    ],
)
async def test_unknown_addresses(api: RunningApi, method: str, path: str, status: int, code: str):
    assert await api.status(method, path) == (status, code)


async def test_a_wrong_method_is_told_the_right_ones(api: RunningApi):
    answer = await api.http.put("/v1/deployments/abc")
    assert answer.headers["allow"] == "DELETE, GET"


@pytest.mark.parametrize(
    ("path", "params", "names"),
    [
        pytest.param("/v1/deployments", {"limit": 0}, ["limit"], id="limit below 1"),
        pytest.param("/v1/deployments", {"limit": 121}, ["limit"], id="limit above 120"),
        pytest.param("/v1/deployments", {"limit": "x"}, ["limit"], id="limit no number"),
        pytest.param("/v1/deployments", {"limit": "1_0"}, ["limit"], id="limit in Python's own way"),
        pytest.param("/v1/deployments", {"limit": "10.0"}, ["limit"], id="limit with a point"),
        pytest.param("/v1/deployments", {"order": "up"}, ["order"], id="unknown order"),
        pytest.param("/v1/deployments", {"orderBy": "name"}, ["orderBy"], id="unknown orderBy"),
        pytest.param("/v1/deployments", {"after": "nope"}, ["after"], id="no cursor"),
        pytest.param("/v1/projects", {"colour": "red"}, ["colour"], id="unknown parameter"),
        pytest.param("/v1/projects", {"limit": 0, "a": 1, "b": 2}, ["limit", "a", "b"], id="all at once"),
        pytest.param("/v1/events", {"limit": 1001}, ["limit"], id="events: limit above 1000"),
        pytest.param("/v1/events", {"after": -1}, ["after"], id="events: before the first"),
        pytest.param("/v1/events", {"after": " 1", "limit": "٣"}, ["after", "limit"], id="events: no digits"),
        pytest.param("/v1/events", {"deploymentId": "*"}, ["deploymentId"], id="events: no id"),
    ],
)
async def test_wrong_queries_are_refused_by_name(api: RunningApi, path: str, params: dict, names: list[str]):
    answer = await api.http.get(path, params=params)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert [issue["path"] for issue in answer.json()["issues"]] == [[name] for name in names]


def addresses() -> list[tuple[str, str]]:
    return sorted(
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods - {"HEAD"}
    )


@pytest.mark.parametrize(("method", "path"), addresses())
async def test_no_address_takes_a_parameter_that_it_does_not_know(api: RunningApi, method: str, path: str):
    deployment_id = await api.submit(a_config())
    address = path.replace("{id}", "default" if "/projects/" in path else deployment_id)
    before = await api.api.log.last_sequence()
    answer = await api.http.request(method, address, params={"dryRun": "true"}, json={"name": "another"})
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST"), answer.text
    issue = next(issue for issue in answer.json()["issues"] if issue["path"] == ["dryRun"])
    assert (issue["message"], issue["value"]) == ("is not a known query parameter", "true")
    assert "dryRun" not in issue["allowed"]
    assert await api.api.log.last_sequence() == before


@pytest.mark.parametrize(
    ("path", "query", "names"),
    [
        pytest.param("/v1/deployments", "limit=0&limit=1", ["limit"], id="the first would do nothing"),
        pytest.param("/v1/events", "limit=1&limit=1", ["limit"], id="twice the same"),
        pytest.param("/v1/health", "detail=true&detail=false", ["detail"], id="no model"),
        pytest.param(
            "/v1/projects", "order=asc&limit=1&order=desc&limit=2", ["order", "limit"], id="several"
        ),
    ],
)
async def test_a_parameter_is_given_once(api: RunningApi, path: str, query: str, names: list[str]):
    answer = await api.http.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert [issue["path"] for issue in answer.json()["issues"]] == [[name] for name in names]
    assert {issue["message"] for issue in answer.json()["issues"]} == {"is given more than once"}


@pytest.mark.parametrize("path", ["/v1/projects", "/v1/projects/default"])
async def test_what_looks_like_a_secret_is_not_repeated(api: RunningApi, path: str):
    answer = await api.http.get(path, params={"accessToken": "very-secret", "colour": "red"})
    assert [issue["value"] for issue in answer.json()["issues"]] == [None, "red"]


@pytest.mark.parametrize("path", ["/v1/projects", "/v1/projects/default"])
async def test_no_more_issues_are_told_than_an_answer_has(api: RunningApi, path: str):
    answer = await api.http.get(path, params={f"p{number}": "" for number in range(101)})
    assert len(answer.json()["issues"]) == 100


@pytest.mark.parametrize(
    ("path", "params", "allowed"),
    [
        ("/v1/deployments", {"order": "up"}, ["asc", "desc"]),
        ("/v1/deployments/{id}/decisions", {"kind": "x"}, ["scaling", "rollout", "verdict", "spec"]),
        ("/v1/health", {"detail": "maybe"}, "true or false"),
    ],
)
async def test_what_a_parameter_may_be_is_told(api: RunningApi, path: str, params: dict, allowed: object):
    answer = await api.http.get(path.replace("{id}", await api.submit(a_config())), params=params)
    (issue,) = answer.json()["issues"]
    assert (answer.status_code, issue["allowed"]) == (400, allowed)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/v1/deployments/{id}/logs", "instanceId"), ("/v1/events", "deploymentId")],
)
async def test_what_cannot_be_an_id_is_refused_with_what_can(api: RunningApi, path: str, name: str):
    deployment_id = await api.submit(a_config())
    answer = await api.http.get(path.replace("{id}", deployment_id), params={name: "events.*"})
    assert answer.status_code == 400
    (issue,) = answer.json()["issues"]
    assert (issue["path"], issue["value"]) == ([name], "events.*")
    assert issue["allowed"] == "32 hexadecimal digits in lower case"


async def test_a_missing_side_of_a_diff_is_named(api: RunningApi):
    deployment_id = await api.submit(a_config())
    answer = await api.http.get(f"/v1/deployments/{deployment_id}/diff")
    assert [issue["path"] for issue in answer.json()["issues"]] == [["from"], ["to"]]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"{", "PARSE_ERROR", id="cut JSON"),
        pytest.param(b"", "PARSE_ERROR", id="nothing"),
        pytest.param(b'{"config": {}, "projectId": "default"}', "BAD_REQUEST", id="an empty spec"),
        pytest.param(b'{"projectId": "a", "projectId": "b"}', "BAD_REQUEST", id="a key twice"),
        pytest.param(
            b'{"config": {"name": "\\ud800"}, "projectId": "default"}', "BAD_REQUEST", id="a surrogate"
        ),
    ],
)
async def test_bad_bodies_are_refused_with_issues(api: RunningApi, body: bytes, code: str):
    answer = await api.http.post("/v1/deployments", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["issues"]


async def test_large_bodies_are_refused_with_and_without_a_length(api: RunningApi):
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * (MANY // 4)

    for content in (b" " * (MANY + 1), chunks()):
        answer = await api.http.post("/v1/deployments", content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    answer = await api.http.post("/v1/deployments", content=b" " * MANY)
    assert answer.json()["code"] == "PARSE_ERROR"


async def test_a_correlation_id_is_taken_over_only_if_it_is_harmless(api: RunningApi):
    kept = await api.http.get("/v1/projects", headers={"x-request-id": "req-1"})
    assert kept.headers["x-correlation-id"] == "req-1"
    made = await api.http.get("/v1/projects", headers={"x-request-id": "two words"})
    assert len(made.headers["x-correlation-id"]) == 32
