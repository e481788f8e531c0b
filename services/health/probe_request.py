"""What a probe sends and which redirects it follows. Pure."""

import re
from dataclasses import dataclass, replace
from urllib.parse import quote, urljoin, urlsplit

from libs.common.spec.model import HealthCheck

USER_AGENT = "specstream-probe/1"

MAX_REDIRECTS = 10
"""As many as the kubelet follows."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})

FRAMING = frozenset(
    {"connection", "content-length", "transfer-encoding", "trailer", "te", "upgrade", "expect"}
)
"""Headers that a probe has no use for: it has no body and one request for each connection."""

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
    """A GET. host: the Host header, which names the replica and never moves the connection."""

    target: str
    host: str
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
    | about framing         | never the check's                                                |
    | any other             | as the check has it (rule 33)                                    |
    """
    host = check.host or endpoint.authority
    headers = {"user-agent": ("User-Agent", USER_AGENT), "accept": ("Accept", "*/*")}
    own: list[tuple[str, str]] = []
    for header in check.headers:
        name, value = header.name.lower(), _one_line(header.value)
        if name == "host":
            host = value or host
        elif name in headers:
            headers[name] = (header.name, value)
        elif name not in FRAMING:
            own.append((_one_line(header.name), value))
    standard = [(name, value) for name, value in headers.values() if value]
    return Request(_target(check.path), _one_line(host), (*standard, *own))


def redirected(request: Request, endpoint: Endpoint, status: int, location: str | None) -> Request | None:
    """The request that follows a redirect; None where there is none to follow.

    | Location                                                | followed                          |
    |---------------------------------------------------------|-----------------------------------|
    | missing, empty or not readable                          | no                                |
    | a path                                                  | yes                               |
    | http, and names the replica's address or the Host sent  | yes, with that name as Host       |
    | any other                                               | no                                |
    """
    if status not in REDIRECTS or not location:
        return None
    try:
        to = urlsplit(urljoin(f"http://{request.host}{request.target}", location))
        hostname, port = to.hostname, to.port or 80
        same = {(endpoint.host, endpoint.port), _split(request.host)}
    except ValueError:
        return None
    if to.scheme != "http" or (hostname, port) not in same:
        return None
    target = to.path or "/"
    if to.query:
        target = f"{target}?{to.query}"
    return replace(request, target=_target(target), host=to.netloc.rpartition("@")[2])


def _split(authority: str) -> tuple[str | None, int]:
    parts = urlsplit(f"//{authority}")
    return parts.hostname, parts.port or 80


def _target(path: str) -> str:
    """Path and query as they may stand in a request line; what is quoted already stays as it is."""
    return quote(path.partition("#")[0], safe=_ALREADY_QUOTED) or "/"


def _one_line(text: str) -> str:
    """A spec holds no control character; one that did could forge headers."""
    return re.sub(r"[\x00-\x1f\x7f]", "", text)
