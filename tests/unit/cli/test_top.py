"""All deployments at a glance."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from typer.testing import CliRunner

from libs.cli.main import app
from libs.cli.top import look
from libs.client import Client

KNOWN = [f"{number:032x}" for number in range(250)]
GONE = KNOWN[3]
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
        runs = [{"replicas": 2, "readyReplicas": 1}, {"replicas": 1, "readyReplicas": 1}]
        return httpx.Response(200, json=runs)
    if request.url.params["metric"] == "cpu":
        points = [{"timestamp": "t", "value": "7"}]
        return httpx.Response(200, json=[{"instanceId": "a" * 32, "values": points}])
    return httpx.Response(200, json=[])


def spec(deployment_id):
    resources = {"replicas": 1, **({"autoscaling": {"maxReplicas": 3}} if deployment_id == KNOWN[1] else {})}
    return {"data": {"resources": resources}}


def client():
    return Client("http://api.test", None, transport=httpx.MockTransport(answer))


def test_each_deployment_has_what_it_has_wants_and_may_have():
    with client() as asked:
        first, second = look(asked, 2)
    assert first == {
        "id": KNOWN[0],
        "name": "n-000",
        "status": "ready",
        "projectId": "default",
        "readyReplicas": 2,
        "replicas": 3,
        "maxReplicas": None,
        "metrics": {
            "cpu": 7.0,
            "memory": None,
            "requests_per_second": None,
            "requests_duration_seconds_1m": None,
        },
    }
    assert second["maxReplicas"] == 3


@pytest.mark.parametrize(("limit", "shown"), [(10_000, 249), (200, 199)])
def test_as_many_are_shown_as_are_asked_for_but_for_one_that_is_deleted_meanwhile(limit, shown):
    with client() as asked:
        found = [one["id"] for one in look(asked, limit)]
    assert found == [one for one in KNOWN[:limit] if one != GONE]
    assert len(found) == shown


@pytest.fixture
def command(monkeypatch, tmp_path):
    """The command line of a platform with that api."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            said = answer(httpx.Request("GET", f"http://api.test{self.path}"))
            self.send_response(said.status_code)
            self.send_header("content-length", str(len(said.content)))
            self.end_headers()
            self.wfile.write(said.content)

        def log_message(self, *_):
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("SPECSTREAM_HOME", str(tmp_path))
        monkeypatch.setenv("SPECSTREAM_URL", f"http://127.0.0.1:{server.server_port}")
        yield CliRunner()
        server.shutdown()


def test_a_script_gets_json_of_one_look(command):
    said = command.invoke(app, ["top", "--json", "--limit", "130"])
    assert said.exit_code == 0, said.output
    assert len(json.loads(said.stdout)) == 129


def test_people_get_a_line_for_each(command):
    said = command.invoke(app, ["top", "--once", "--limit", "2"])
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
    assert first.split() == ["n-000", "ready", "2/3", "-", "7", "%", "-", "-", "-", KNOWN[0]]
    assert second.split()[3] == "3"
