"""What the client sends, what it makes of each answer, and how it goes on after a cut."""

import json

import httpx
import pytest

from libs.client import ApiError, Client, Unreachable

ID = "0123456789abcdef" * 2


def client_of(answer):
    return Client("http://api.test/", "the-key", transport=httpx.MockTransport(answer))


def test_presents_the_key_and_the_path():
    def answer(request):
        assert request.headers["authorization"] == "Bearer the-key"
        assert request.url == "http://api.test/v1/health"
        return httpx.Response(200, json="HEALTHY")

    with client_of(answer) as client:
        assert client.health() == "HEALTHY"


@pytest.mark.parametrize("text", ["a/b", "../projects", "a?b#c", "a b", "🚀", "%2e", ".", "..", ""])
def test_an_id_stays_one_segment(text):
    paths = []

    def answer(request):
        paths.append(request.url.raw_path.decode())
        return httpx.Response(200, json={})

    with client_of(answer) as client:
        client.deployment(text)
    assert paths[0].count("/") == 3
    assert "?" not in paths[0]


@pytest.mark.parametrize("project", ["..", ""])
def test_the_deployments_of_one_project_are_never_those_of_all(project):
    paths = []

    def answer(request):
        paths.append(request.url.raw_path.decode())
        return httpx.Response(404, json={"code": "NOT_FOUND", "message": "There is nothing at this address"})

    with client_of(answer) as client, pytest.raises(ApiError):
        list(client.deployments(project_id=project))
    assert paths[0].startswith("/v1/projects/")


def test_an_empty_id_is_sent_and_not_taken_for_none():
    bodies = []

    def answer(request):
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json={"deploymentId": ID})

    with client_of(answer) as client:
        client.submit({}, deployment_id="")
        client.submit({})
    assert [body.get("deploymentId") for body in bodies] == ["", None]


def test_follows_the_pages():
    asked = []

    def answer(request):
        asked.append(request.url.params.get("after"))
        if asked[-1] is None:
            return httpx.Response(200, json={"items": [{"id": "a"}], "hasMore": True, "nextPage": "a"})
        return httpx.Response(200, json={"items": [{"id": "b"}], "hasMore": False})

    with client_of(answer) as client:
        assert [d["id"] for d in client.deployments()] == ["a", "b"]
    assert asked == [None, "a"]


def test_the_last_lines_are_oldest_first():
    def answer(request):
        assert request.url.params["order"] == "desc"
        return httpx.Response(200, json={"items": [{"id": "3"}, {"id": "2"}, {"id": "1"}], "hasMore": False})

    with client_of(answer) as client:
        assert [line["id"] for line in client.last_logs(ID, 2)] == ["2", "3"]
        assert [line["id"] for line in client.last_logs(ID, 10**20)] == ["1", "2", "3"]


def test_an_error_answer_keeps_what_it_says():
    body = {"code": "BAD_REQUEST", "message": "no", "issues": [{"path": ["name"]}], "details": {"a": 1}}
    with client_of(lambda _: httpx.Response(400, json=body)) as client, pytest.raises(ApiError) as raised:
        client.submit({})
    error = raised.value
    assert (error.status, error.code, error.message) == (400, "BAD_REQUEST", "no")
    assert (error.issues, error.details) == ([{"path": ["name"]}], {"a": 1})


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(httpx.Response(404, text="<h1>Not found</h1>"), id="an error page"),
        pytest.param(httpx.Response(404, json={"error_code": "deployment_not_found"}), id="an endpoint"),
        pytest.param(httpx.Response(200, text="<h1>It works!</h1>"), id="a page"),
        pytest.param(httpx.Response(502, text="Bad gateway"), id="a proxy"),
    ],
)
def test_another_server_is_not_taken_for_the_api(response):
    with client_of(lambda _: response) as client, pytest.raises(Unreachable, match="something else"):
        client.health()


def test_nobody_answers():
    def answer(request):
        raise httpx.ConnectError("refused", request=request)

    with client_of(answer) as client, pytest.raises(Unreachable, match=r"http://api\.test: refused"):
        client.health()


def sse(*sequences):
    return "".join(f"id: {n}\ndata: {json.dumps({'sequence': n})}\n\n" for n in sequences).encode()


class Cut(httpx.SyncByteStream):
    """Some bytes, then the connection is gone."""

    def __init__(self, content):
        self._content = content

    def __iter__(self):
        yield self._content
        raise httpx.ReadError("cut")


def test_a_cut_stream_is_taken_up_where_it_was():
    asked = []

    def answer(request):
        asked.append(request.url.params["after"])
        headers = {"content-type": "text/event-stream"}
        match len(asked):
            case 1:
                return httpx.Response(200, headers=headers, stream=Cut(sse(1, 2)))
            case 2:
                raise httpx.ConnectError("refused", request=request)
            case 3:
                return httpx.Response(503, json={"code": "UNAVAILABLE", "message": "starting"})
            case _:
                return httpx.Response(200, headers=headers, content=sse(3))

    with client_of(answer) as client:
        events = client.follow()
        assert [next(events)["sequence"] for _ in range(3)] == [1, 2, 3]
    assert asked == ["0", "2", "2", "2"]


def test_a_stream_that_never_began_is_no_cut():
    def answer(request):
        raise httpx.ConnectError("refused", request=request)

    with client_of(answer) as client, pytest.raises(Unreachable):
        next(client.follow())


def test_an_export_that_is_cut_is_no_export():
    answer = httpx.Response(200, stream=Cut(b"half"))
    with client_of(lambda _: answer) as client, pytest.raises(Unreachable, match="cut"):
        b"".join(client.export_log())


@pytest.mark.parametrize("lines", [["verified", "ok"], ["ok"]], ids=["long", "short"])
def test_verifying_tells_how_far_it_is(lines):
    told = []

    def answer(request):
        assert request.headers["accept"] == "application/x-ndjson"
        content = {"verified": {"verified": 3, "events": 9}, "ok": {"ok": True, "events": 9, "aggregates": 2}}
        return httpx.Response(200, text="".join(json.dumps(content[line]) + "\n" for line in lines))

    with client_of(answer) as client:
        found = client.verify_log(told=lambda done, of: told.append((done, of)))
    assert found == {"ok": True, "events": 9, "aggregates": 2}
    assert told == [(3, 9)] * (len(lines) - 1)


def test_verifying_that_was_cut_says_nothing_about_the_log():
    def answer(_):
        return httpx.Response(200, text='{"verified": 3, "events": 9}\n')

    with client_of(answer) as client, pytest.raises(Unreachable, match="cut"):
        client.verify_log()
