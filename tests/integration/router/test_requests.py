import asyncio
import json

import pytest

from services.router.xds.resources import MAX_ANSWER_HEADERS, RETRIES
from tests.support.polling import eventually
from tests.support.routed import a_served, answer_with, answered_by, assert_error
from tests.support.upstream import Asked, Upstream, plain, upstreams

OURS = ("x-specstream-deployment", "x-specstream-spec", "x-specstream-replica")


def ours_in(response):
    """Every value of each of our headers."""
    return {
        name: response.headers.get_list(name) for name in response.headers if name.startswith("x-specstream-")
    }


async def test_a_request_reaches_a_ready_replica_and_the_answer_names_it(routed, client):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        response = await client.get("/predict/?q=1", headers={"host": deployment.host})
    assert response.status_code == 200
    assert response.json()["path"] == "/predict/?q=1"
    assert [response.headers[name] for name in OURS] == [deployment.deployment_id, "spec-1", "r1"]
    received = response.json()["headers"]
    assert received["x-forwarded-proto"] == "http"
    assert received["x-forwarded-for"]
    assert received["x-request-id"]
    assert not [name for name in response.headers if name.startswith("x-envoy-")]


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("{label}.localhost", id="without a port"),
        pytest.param("{label}.localhost:8081", id="with the port of another machine"),
        pytest.param("{label}.LocalHost:1", id="in capitals"),
        pytest.param("{label}.localhost.", id="with the root's dot"),
        pytest.param("{upper}.LOCALHOST", id="with the label in capitals"),
    ],
)
async def test_the_host_is_what_counts(routed, client, host):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        label = deployment.host.partition(".")[0]
        host = host.format(label=label, upper=label.upper())
        response = await client.get("/", headers={"host": host})
    assert response.status_code == 200
    assert response.headers["x-specstream-deployment"] == deployment.deployment_id


async def test_every_ready_replica_has_its_turn(routed, client):
    async with upstreams("r1", "r2", "r3") as three:
        deployment = await a_served(routed, *three)
        seen = [await answered_by(client, deployment) for _ in range(12)]
    assert {name: seen.count(name) for name in set(seen)} == {"r1": 4, "r2": 4, "r3": 4}


async def test_what_others_send_under_our_names_is_dropped(routed, client):
    async def forge(_, asked, writer):
        forged = dict.fromkeys(("x-specstream-replica", "X-Specstream-Spec", "x-specstream-other"), "forged")
        writer.write(plain("200 OK", json.dumps(asked.headers).encode(), forged))

    async with upstreams("r1") as (upstream,):
        upstream.behaviour = forge
        deployment = await a_served(routed, upstream)
        # A replica that knows its headers as CGI does (WSGI, PHP) reads `_` and `-` as one.
        alike = ("x_specstream_replica", "x-specstream_replica", "X_Specstream-Spec")
        sent = {"host": deployment.host} | dict.fromkeys(
            (*OURS, "x-specstream-else", *alike, "x-kept", "x_kept"), "forged"
        )
        response = await client.get("/", headers=sent)
    assert ours_in(response) == {
        name: [value] for name, value in zip(OURS, (deployment.deployment_id, "spec-1", "r1"), strict=True)
    }
    received = response.json()
    assert [name for name in received if name.replace("_", "-").startswith("x-specstream-")] == []
    assert (received["x-kept"], received["x_kept"]) == ("forged", "forged")


async def test_a_client_cannot_steer_the_proxy(routed, client):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        steering = {"x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-max-retries": "0"}
        response = await client.get("/", headers={"host": deployment.host} | steering)
    assert response.status_code == 200
    assert not [name for name in response.json()["headers"] if name.startswith("x-envoy-up")]


@pytest.mark.parametrize(
    ("change", "error_code"),
    [
        pytest.param({"enabled": False}, "deployment_disabled", id="disabled"),
        pytest.param({"replicas": 0}, "deployment_stopped", id="wants no replica"),
    ],
)
async def test_a_known_deployment_that_serves_nothing_says_why(routed, client, change, error_code):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        await deployment.register(spec_id="spec-2", **change)
        response = await answer_with(client, deployment, 404)
        assert_error(response, error_code)
        assert response.headers["x-specstream-deployment"] == deployment.deployment_id
        assert response.json()["deployment_id"] == deployment.deployment_id
        assert not {"x-specstream-spec", "x-specstream-replica"} & set(response.headers)
        again = await client.get("/", headers={"host": deployment.host.upper()})
        assert (again.status_code, again.json()) == (404, response.json())
        await deployment.register(spec_id="spec-3")
        await answer_with(client, deployment, 200)


async def test_an_unknown_host_is_not_found(client):
    for host in ("dffffffffffffffffffffffffffffffff.localhost", "example.com", "localhost:8081"):
        response = await client.get("/", headers={"host": host})
        assert response.status_code == 404
        assert_error(response, "deployment_not_found")


async def test_a_request_for_no_path_is_answered_as_json_too(client):
    response = await client.request("OPTIONS", "/", extensions={"target": b"*"})
    assert response.status_code == 404
    assert_error(response, "request_failed")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"GET / HTTP/1.1", 400, id="no host"),
        pytest.param(b"GET /a b HTTP/1.1\r\nhost: {host}", 400, id="a space in the path"),
        pytest.param(b"GET /a?#b HTTP/1.1\r\nhost: {host}", 400, id="a fragment"),
        pytest.param(b"FOO / HTTP/1.1\r\nhost: {host}", 400, id="a method of its own"),
    ],
)
async def test_what_is_no_request_is_told_so(routed, head: bytes, status: int):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        reader, writer = await asyncio.open_connection("127.0.0.1", routed.edge_port)
        try:
            writer.write(head.replace(b"{host}", deployment.host.encode()) + b"\r\n\r\n")
            answer = await reader.read()
        finally:
            writer.close()
    answered, body = answer.split(b"\r\n\r\n", 1)
    assert answered.startswith(b"HTTP/1.1 %d " % status)
    said = json.loads(body)
    assert (said["error"], said["error_code"]) == ("The request is no valid HTTP.", "request_failed")
    assert said["details"]


async def test_an_answer_may_have_many_headers(routed, client):
    headers = {f"x-{number}": "1" for number in range(MAX_ANSWER_HEADERS - 10)}

    async def many(_: Upstream, __: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain("200 OK", b"all", headers))

    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        upstream.behaviour = many
        response = await client.get("/", headers={"host": deployment.host})
    assert (response.status_code, response.text) == (200, "all")
    assert headers.items() <= dict(response.headers).items()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"hello\n\n", id="no status"),
        pytest.param(b"HTTP/1.1 200 OK\r\na header: 1\r\ncontent-length: 0\r\n\r\n", id="no header"),
        pytest.param(plain("200 OK", b"", {f"x-{n}": "1" for n in range(1000)}), id="too many headers"),
    ],
)
@pytest.mark.parametrize(("method", "times"), [("GET", RETRIES + 1), ("POST", 1)])
async def test_an_answer_that_is_no_http_is_told_of(routed, client, answer: bytes, method: str, times: int):
    asked = []

    async def odd(_: Upstream, request: Asked, writer: asyncio.StreamWriter) -> None:
        asked.append(request.method)
        writer.write(answer)

    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        upstream.behaviour = odd
        response = await client.request(method, "/", headers={"host": deployment.host})
    assert asked == [method] * times
    assert response.status_code == 502
    assert_error(response, "replica_failed")
    assert response.json()["error"] == "The replica's answer is no valid HTTP."


async def test_a_deleted_deployment_is_not_found_and_leaves_nothing_behind(routed, client):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        await deployment.delete()
        response = await answer_with(client, deployment, 404)
        assert_error(response, "deployment_not_found")
        await deployment.stopped("r1")
        await deployment.removed()
    await eventually(lambda: is_forgotten(routed, deployment))


async def test_without_a_ready_replica_the_client_is_asked_to_come_again(routed, client):
    deployment = routed.deployment()
    await deployment.create()
    await deployment.starting("r1", "127.0.0.1:1")
    response = await answer_with(client, deployment, 503)
    assert_error(response, "no_ready_replicas")
    assert response.headers["retry-after"] == "1"
    assert ours_in(response) == {
        "x-specstream-deployment": [deployment.deployment_id],
        "x-specstream-spec": ["spec-1"],
    }


async def test_a_replica_that_cannot_be_reached_is_not_said_to_have_answered(routed, client):
    upstream = await Upstream("r1").start()
    deployment = await a_served(routed, upstream)
    await upstream.die()
    response = await client.get("/", headers={"host": deployment.host})
    assert response.status_code == 503
    assert_error(response, "no_ready_replicas")
    assert ours_in(response) == {
        "x-specstream-deployment": [deployment.deployment_id],
        "x-specstream-spec": ["spec-1"],
    }


async def test_the_answer_names_the_replica_that_has_the_address_now(routed, client):
    """A port that one replica left another may get; Envoy keeps what it knows of an address."""
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        await deployment.stopped("r1")
        await deployment.ready("r2", upstream.address)

        async def names_it():
            response = await client.get("/", headers={"host": deployment.host})
            return response.headers.get("x-specstream-replica") == "r2"

        await eventually(names_it)


async def test_a_new_spec_of_the_same_run_is_named_at_once(routed, client):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        await deployment.register(spec_id="spec-2")
        await deployment.apply(spec_id="spec-2", run_id="run-1")

        async def names_it():
            response = await client.get("/", headers={"host": deployment.host})
            assert response.status_code == 200
            return response.headers["x-specstream-spec"] == "spec-2"

        await eventually(names_it)


async def test_a_change_of_one_deployment_leaves_the_others_alone(routed, client):
    async with upstreams("r1", "r2") as (first, second):
        one, other = await a_served(routed, first), await a_served(routed, second)
        await one.register(spec_id="spec-2", enabled=False)
        await answer_with(client, one, 404)
        assert await answered_by(client, other) == "r2"


async def is_forgotten(routed, deployment):
    async with routed.envoy.admin() as admin:
        clusters = (await admin.get("/clusters", params={"format": "json"})).text
        scopes = (await admin.get("/config_dump", params={"resource": "dynamic_scoped_route_configs"})).text
        routes = (await admin.get("/config_dump", params={"resource": "dynamic_route_configs"})).text
    return deployment.deployment_id not in clusters + scopes + routes
