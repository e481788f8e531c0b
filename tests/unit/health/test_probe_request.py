"""What a probe sends, and which redirects it follows."""

import pytest

from libs.common.spec.model import HealthCheck, NameValue
from services.health.probe_request import Endpoint, make_request, redirected

HERE = Endpoint("127.0.0.1", 40000)


def sent(check: HealthCheck) -> list[str]:
    return make_request(HERE, check).to_bytes().decode().removesuffix("\r\n\r\n").split("\r\n")


def headers(**values: str) -> tuple[NameValue, ...]:
    return tuple(NameValue(name=name.replace("_", "-"), value=value) for name, value in values.items())


def test_a_plain_check() -> None:
    assert sent(HealthCheck(path="/ready")) == [
        "GET /ready HTTP/1.1",
        "Host: 127.0.0.1:40000",
        "Connection: close",
        "User-Agent: specstream-probe/1",
        "Accept: */*",
    ]


@pytest.mark.parametrize(
    ("check", "line"),
    [
        pytest.param(
            HealthCheck(path="/", host="app.test"), "Host: app.test", id="host sets the Host header"
        ),
        pytest.param(
            HealthCheck(path="/", host="app.test", headers=headers(host="other.test")),
            "Host: other.test",
            id="a Host among the headers wins",
        ),
        pytest.param(
            HealthCheck(path="/", headers=headers(user_agent="mine")), "user-agent: mine", id="an own agent"
        ),
        pytest.param(
            HealthCheck(path="/", headers=headers(X_Probe="1")), "X-Probe: 1", id="any other header"
        ),
        pytest.param(HealthCheck(path="/a b?q=ü#f"), "GET /a%20b?q=%C3%BC HTTP/1.1", id="a path is quoted"),
        pytest.param(HealthCheck(path="/a%20b?x=1&y=2"), "GET /a%20b?x=1&y=2 HTTP/1.1", id="but not twice"),
    ],
)
def test_lines(check: HealthCheck, line: str) -> None:
    assert line in sent(check)


@pytest.mark.parametrize(
    ("given", "absent"),
    [
        pytest.param(headers(User_Agent=""), "user-agent", id="an empty agent leaves it out"),
        pytest.param(headers(Content_Length="5"), "content-length", id="no body is announced"),
        pytest.param(headers(Transfer_Encoding="chunked"), "transfer-encoding", id="nor a chunked one"),
        pytest.param(headers(X="a\r\nEvil: 1"), "evil", id="a line break forges no header"),
    ],
)
def test_what_is_not_sent(given: tuple[NameValue, ...], absent: str) -> None:
    names = [line.partition(":")[0].lower() for line in sent(HealthCheck(path="/", headers=given))]
    assert absent not in names


@pytest.mark.parametrize(
    ("location", "target", "host"),
    [
        pytest.param("/live/", "/live/", "app.test", id="a path"),
        pytest.param("live/?a=1#x", "/old/live/?a=1", "app.test", id="a relative path"),
        pytest.param("http://app.test/live/", "/live/", "app.test", id="the Host that was sent"),
        pytest.param("http://APP.test:80/live/", "/live/", "APP.test:80", id="the same Host, spelt out"),
        pytest.param("http://127.0.0.1:40000/live/", "/live/", "127.0.0.1:40000", id="the replica's address"),
        pytest.param("http://u:p@127.0.0.1:40000/live/", "/live/", "127.0.0.1:40000", id="without its user"),
        pytest.param("//app.test/live/", "/live/", "app.test", id="without a scheme"),
        pytest.param("http://app.test", "/", "app.test", id="without a path"),
    ],
)
def test_followed(location: str, target: str, host: str) -> None:
    request = make_request(HERE, HealthCheck(path="/old/live", host="app.test"))
    following = redirected(request, HERE, 307, location)
    assert following is not None
    assert (following.target, following.host) == (target, host)
    assert following.headers == request.headers


@pytest.mark.parametrize(
    ("status", "location"),
    [
        pytest.param(302, None, id="no Location"),
        pytest.param(302, "", id="an empty Location"),
        pytest.param(302, "http://[", id="one that cannot be read"),
        pytest.param(302, "http://elsewhere.test/", id="another host"),
        pytest.param(302, "http://127.0.0.1:40001/", id="another port of the machine"),
        pytest.param(302, "http://127.0.0.1:99999/", id="no port at all"),
        pytest.param(302, "https://app.test/", id="another scheme"),
        pytest.param(302, "ftp://app.test/", id="not even HTTP"),
        pytest.param(304, "/live/", id="a status that is no redirect"),
        pytest.param(200, "/live/", id="a success with a Location"),
    ],
)
def test_not_followed(status: int, location: str | None) -> None:
    request = make_request(HERE, HealthCheck(path="/", host="app.test"))
    assert redirected(request, HERE, status, location) is None


def test_headers_of_one_name_are_all_sent() -> None:
    given = tuple(
        NameValue(name=name, value=value)
        for name, value in [
            ("X-Tag", "1"),
            ("x-tag", "2"),
            ("Accept", "text/html"),
            ("Accept", "text/plain"),
            ("User-Agent", "one"),
            ("User-Agent", "two"),
        ]
    )
    lines = sent(HealthCheck(path="/", headers=given))
    assert [line for line in lines if line.lower().startswith(("x-tag", "accept", "user-agent"))] == [
        "X-Tag: 1",
        "x-tag: 2",
        "Accept: text/html",
        "Accept: text/plain",
        "User-Agent: one",
        "User-Agent: two",
    ]


OWN = {8000: 40000, 9000: 40001}


@pytest.mark.parametrize(
    ("location", "port"),
    [
        pytest.param("/live/", 40000, id="a path stays where it is"),
        pytest.param("http://127.0.0.1:40001/live/", 40001, id="another port of its own"),
        pytest.param("http://app.test:40001/live/", 40001, id="the same by the Host that was sent"),
        pytest.param("http://127.0.0.1:9000/live/", 40001, id="another port by the number in its spec"),
        pytest.param("http://127.0.0.1:8000/live/", 40000, id="its own by the number in its spec"),
        pytest.param("http://app.test/live/", 40000, id="the Host that was sent"),
    ],
)
def test_a_redirect_to_an_own_port_is_followed_there(location: str, port: int) -> None:
    request = make_request(HERE, HealthCheck(path="/", host="app.test"))
    following = redirected(request, HERE, 302, location, OWN)
    assert following is not None
    assert following.endpoint == Endpoint("127.0.0.1", port)


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:4222/",
        "http://127.0.0.1/",
        "http://169.254.169.254:40001/",
        "http://localhost:40001/",
        "https://127.0.0.1:40001/",
        "http://elsewhere.test:40001/",
    ],
)
def test_a_redirect_to_anybody_else_is_not_followed(location: str) -> None:
    request = make_request(HERE, HealthCheck(path="/", host="app.test"))
    assert redirected(request, HERE, 302, location, OWN) is None
