"""All deployments at a glance."""

import json

import httpx
import pytest

from libs.cli.top import look
from libs.client import Client

KNOWN = [f"{number:032x}" for number in range(250)]
STOPPED = KNOWN[2]
"""Its replicas are on their way out."""
GONE = KNOWN[3]
RUN = "b" * 32
PAGE = 120


def answer(request):
    path = request.url.path
    if path == "/v1/deployments":
        begin = int(request.url.params.get("after", 0))
        found = KNOWN[begin : begin + PAGE]
        items = [
            {
                "id": one,
                "name": f"n-{one[-3:]}",
                "status": "ready",
                "projectId": "default",
                "latestSpec": spec(one),
            }
            for one in found
        ]
        more = {"nextPage": str(begin + PAGE)} if begin + PAGE < len(KNOWN) else {}
        return httpx.Response(200, json={"items": items, "hasMore": bool(more), **more})
    if GONE in path:
        return httpx.Response(404, json={"code": "NOT_FOUND", "message": "deleted"})
    if path.endswith("/runs"):
        new = {"id": RUN, "replicas": 2, "readyReplicas": 1}
        old = {"id": "c" * 32, "replicas": 2, "readyReplicas": 2}
        return httpx.Response(200, json=[old] if STOPPED in path else [new, old])
    if request.url.params["metric"] == "cpu":
        points = [{"timestamp": "t", "value": "7"}]
        return httpx.Response(200, json=[{"instanceId": "a" * 32, "values": points}])
    return httpx.Response(200, json=[])


def spec(deployment_id):
    resources = {"replicas": 1, **({"autoscaling": {"maxReplicas": 3}} if deployment_id == KNOWN[1] else {})}
    return {"runId": RUN, "data": {"resources": resources}}


def client():
    return Client("http://api.test", None, transport=httpx.MockTransport(answer))


def test_each_deployment_has_what_it_has_wants_and_may_have():
    with client() as asked:
        first, second, third = look(asked, 3)
    assert first == {
        "id": KNOWN[0],
        "name": "n-000",
        "status": "ready",
        "projectId": "default",
        "readyReplicas": 1,
        "replicas": 2,
        "maxReplicas": None,
        "metrics": {
            "cpu": 7.0,
            "memory": None,
            "requests_per_second": None,
            "requests_duration_seconds_1m": None,
        },
    }
    assert second["maxReplicas"] == 3
    assert (third["readyReplicas"], third["replicas"]) == (0, 0)


@pytest.mark.parametrize(("limit", "shown"), [(10_000, 249), (200, 199)])
def test_as_many_are_shown_as_are_asked_for_but_for_one_that_is_deleted_meanwhile(limit, shown):
    with client() as asked:
        found = [one["id"] for one in look(asked, limit)]
    assert found == [one for one in KNOWN[:limit] if one != GONE]
    assert len(found) == shown


def test_a_script_gets_json_of_one_look(command_at):
    said = command_at(answer)("top", "--json", "--limit", "130")
    assert said.exit_code == 0, said.output
    assert len(json.loads(said.stdout)) == 129


def test_people_get_a_line_for_each(command_at):
    said = command_at(answer)("top", "--once", "--limit", "2")
    heading, first, second = said.stdout.splitlines()
    assert heading.split() == [
        "NAME",
        "STATUS",
        "READY",
        "MOST",
        "CPU",
        "MEMORY",
        "REQUESTS",
        "DURATION",
        "ID",
    ]
    assert first.split() == ["n-000", "ready", "1/2", "-", "7", "%", "-", "-", "-", KNOWN[0]]
    assert second.split()[3] == "3"
