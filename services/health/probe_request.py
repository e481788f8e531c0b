"""What a probe sends and which redirects it follows. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urljoin, urlsplit

from libs.common.spec.model import HealthCheck
from libs.common.spec.text import HOP_BY_HOP

USER_AGENT = "specstream-probe/1"

STANDARD = {"user-agent": ("User-Agent", USER_AGENT), "accept": ("Accept", "*/*")}
"""What is sent unless a check has a header of that name."""

MAX_REDIRECTS = 10
"""As many as the kubelet follows."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_ALREADY_QUOTED = "%/:?#[]@!$&'()*+,;=~-._"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The replica's own address for one of its ports; the only place a probe connects to."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Request:
    """A GET."""

    endpoint: Endpoint
    """Where it is sent."""
    target: str
    host: str
    """The Host header, which never moves the connection."""
    headers: tuple[tuple[str, str], ...]

    def to_bytes(self) -> bytes:
        lines = [f"GET {self.target} HTTP/1.1", f"Host: {self.host}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def make_request(endpoint: Endpoint, check: HealthCheck) -> Request:
    """The first request of an attempt.

    | header                | sent                                                             |
    |-----------------------|------------------------------------------------------------------|
    | Host                  | a header of that name in the check, or its `host`, or the address |
    | User-Agent and Accept | ours, unless the check has them; an empty one leaves it out       |
    | about the connection  | never the check's; a spec that has one is refused since          |
    | any other             | as the check has it, also several of one name                    |
    """
    assert check.path is not None
    host = check.host or endpoint.authority
    given = [
        (header.name.lower(), _one_line(header.name), _one_line(header.value)) for header in check.headers
    ]
    for key, _, value in given:
        if key == "host":
            host = value or host
    own = [
        (name, value)
        for key, name, value in given
        if key != "host" and key not in HOP_BY_HOP and (value or key not in STANDARD)
    ]
    keys = {key for key, _, _ in given}
    standard = [header for key, header in STANDARD.items() if key not in keys]
    return Request(endpoint, _target(check.path), _one_line(host), (*standard, *own))


def redirected(
    request: Request,
    endpoint: Endpoint,
    status: int,
    location: str | None,
    ports: Mapping[int, int] | None = None,
) -> Request | None:
    """The request that follows a redirect; None where there is none to follow.

    ports: the replica's own port for each port of its spec.

    | Location                                                | followed                             |
    |---------------------------------------------------------|--------------------------------------|
    | missing, empty or not readable                          | no                                   |
    | a path                                                  | yes                                  |
    | http, and names the replica's address or the Host sent  | yes, with that name as Host          |
    | http, and one of these hosts with another port that is  | yes, there: by its own number or by  |
    | the replica's own                                       | the one that the spec has for it     |
    | any other                                               | no                                   |
    """
    if status not in REDIRECTS or not location:
        return None
    try:
        to = urlsplit(urljoin(f"http://{request.host}{request.target}", location))
        hostname, port = to.hostname, to.port or 80
        sent_host, sent_port = _split(request.host)
    except ValueError:
        return None
    if to.scheme != "http" or hostname not in {endpoint.host, sent_host}:
        return None
    if (hostname, port) == (sent_host, sent_port):
        own: int | None = endpoint.port
    else:
        own = _own_port(port, endpoint, ports or {})
    if own is None:
        return None
    target = to.path or "/"
    if to.query:
        target = f"{target}?{to.query}"
    host = to.netloc.rpartition("@")[2]
    return Request(replace(endpoint, port=own), _target(target), host, request.headers)


def _own_port(port: int, endpoint: Endpoint, ports: Mapping[int, int]) -> int | None:
    if port in {endpoint.port, *ports.values()}:
        return port
    return ports.get(port)


def _split(authority: str) -> tuple[str | None, int]:
    parts = urlsplit(f"//{authority}")
    return parts.hostname, parts.port or 80


def _target(path: str) -> str:
    """Path and query as they may stand in a request line; what is quoted already stays as it is."""
    return quote(path.partition("#")[0], safe=_ALREADY_QUOTED) or "/"


def _one_line(text: str) -> str:
    """A spec holds no control character; one that did could forge headers."""
    return re.sub(r"[\x00-\x1f\x7f]", "", text)
