"""Which headers a check may have: none is accepted that would not be sent."""

import pytest

from tests.support.specs import parse_spec
from tests.unit.spec.mistakes import READY, changed, dotted, issues


def with_headers(*names: str, value: str = "1") -> dict[str, object]:
    return changed(f"{READY}.headers", [{"name": name, "value": value} for name in names])


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "TE",
        "te",
        "Upgrade",
        "Expect",
        "Content-Length",
        "Transfer-Encoding",
        "TRAILER",
        "Keep-Alive",
        "Proxy-Connection",
        "HTTP2-Settings",
    ],
)
def test_what_cannot_be_sent_is_refused(name: str) -> None:
    (issue,) = issues(with_headers("X-Fine", name))
    assert dotted(issue) == f"{READY}.headers.1.name"
    assert issue.message.startswith(f"{name} cannot be sent with a check")
    assert "transfer-encoding" in issue.allowed


def test_several_of_one_name_are_kept() -> None:
    checks = parse_spec(with_headers("X-Tag", "x-tag", "Accept", "Accept")).health_checks
    assert checks is not None
    assert checks.readiness is not None
    assert [header.name for header in checks.readiness.headers] == ["X-Tag", "x-tag", "Accept", "Accept"]


def test_a_request_has_one_host() -> None:
    parse_spec(with_headers("Host"))
    (issue,) = issues(with_headers("Host", "host"))
    assert dotted(issue) == f"{READY}.headers.1.name"
    (issue,) = issues(changed(f"{READY}.host", "app.test", with_headers("Host")))
    assert dotted(issue) == f"{READY}.headers.0.name"
    assert "Host is given already" in issue.message


@pytest.mark.parametrize("host", ["app.test", "app_1:8080", "10.0.0.1", "[::1]:80", "localhost:1"])
def test_what_a_host_may_be(host: str) -> None:
    parse_spec(with_headers("Host", value=host))


@pytest.mark.parametrize(
    "host", ["", "x y", "a/b", "a:b", "user@app.test", "http://app.test", "::1", "a:123456"]
)
def test_a_host_that_no_server_takes_is_refused(host: str) -> None:
    (issue,) = issues(with_headers("hOST", value=host))
    assert dotted(issue) == f"{READY}.headers.0.value"
    assert issue.allowed == "a host name or an address, and maybe a port"
