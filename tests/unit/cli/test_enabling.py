"""Starting a deployment again."""

import json

import httpx
import pytest

ID = "d" * 32


def api(replicas, submitted):
    """Of one disabled deployment. submitted: what it was asked to be."""
    spec = {"id": "s" * 32, "data": {"enabled": False, "name": "hello", "resources": {"replicas": replicas}}}
    found = {"id": ID, "name": "my hello", "projectId": "default", "endpoint": "x:1", "latestSpec": spec}

    def answer(request):
        if request.method == "POST":
            submitted.append(json.loads(request.content)["config"])
            return httpx.Response(200, json={"deploymentId": ID})
        if request.url.path.endswith(f"/deployments/{ID}"):
            return httpx.Response(200, json={**found, "status": "disabled"})
        return httpx.Response(200, json={"items": [found], "hasMore": False})

    return answer


@pytest.mark.parametrize(
    ("replicas", "told"),
    [(0, ["it wants 0 replicas: `specstream scale 'my hello' N` starts it"]), (2, [])],
)
def test_one_that_wants_no_replicas_says_what_starts_it(command_at, replicas, told):
    submitted = []
    said = command_at(api(replicas, submitted))("enable", "my hello", "--no-wait")
    assert said.exit_code == 0, said.output
    assert [one["enabled"] for one in submitted] == [True]
    assert said.stdout.splitlines()[:-3] == told


def test_a_script_gets_json_alone(command_at):
    said = command_at(api(0, []))("enable", "my hello", "--no-wait", "--json")
    assert json.loads(said.stdout)["deploymentId"] == ID
