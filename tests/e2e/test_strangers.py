"""Everything that a running platform listens on, tried without any credential: by another user of the
machine, and by our own user, as a replica would."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from libs.common import loopback
from libs.common.envoy_folder import ADMIN_SOCKET, XDS_SOCKET
from tests.support import stranger
from tests.support.live_platform import hello
from tests.support.platform_process import PROGRAMS
from tests.support.polling import PATIENCE_S, eventually
from tests.support.sockets import tcp_doors, unix_doors

NOBODY = 65534
STAYS_OPEN_S = 5.0
"""For a door that is not closed by whoever answers there."""
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
ADMIN_PATHS = (
    *("/", "/help", "/clusters", "/clusters?format=json", "/clusters?token=", "/clusters?token=&format=json"),
    *(
        "/config_dump",
        "/config_dump?include_eds",
        "/stats",
        "/server_info",
        "/listeners",
        "/certs",
        "/memory",
    ),
    *("/runtime", "/init_dump", "/contention", "/hot_restart_version", "/ready", "/logging"),
    *("//clusters", "/./clusters", "/clusters/", "/CLUSTERS", "/%63lusters", "http://x/clusters?token=x&"),
)
ADMIN_DEEDS = (
    *("/quitquitquit", "/healthcheck/fail", "/drain_listeners", "/reset_counters", "/logging?level=trace"),
    *("/runtime_modify?a=b", "/cpuprofiler?enable=y", "/heapprofiler?enable=y", "/reopen_logs"),
)


def http(method, path):
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    return head.encode()


@pytest.fixture
async def platform(shared_platform):
    return shared_platform


class Us:
    """Our own user."""

    python = sys.executable


class Nobody:
    """Another user of the machine."""

    python = "/usr/bin/python3"


@pytest.fixture(params=[Us, Nobody])
def knock(request):
    """Says things at doors, and returns the answers."""
    who = request.param
    if who is Nobody and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    if not os.access(who.python, os.X_OK):
        pytest.skip(f"no Python for another user: {who.python}")
    program = Path(stranger.__file__).read_text()
    options = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if who is Nobody else {}

    def ask(doors, *, within_s=PATIENCE_S):
        asked = [[door, base64.b64encode(said).decode(), within_s] for door, said in doors]
        command = [who.python, "-I", "-c", program]
        run = subprocess.run(
            command,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            **options,
        )
        return [
            answer["refused"] if isinstance(answer, dict) else base64.b64decode(answer)
            for answer in json.loads(run.stdout)
        ]

    ask.is_another = who is Nobody
    return ask


def sockets(home):
    return [["unix", str(home / "envoy" / name)] for name in (XDS_SOCKET, ADMIN_SOCKET)]


async def test_a_platform_listens_on_what_is_known_and_on_nothing_else(platform):
    await platform.deploy(hello("listening"))
    pids = [platform.pid(program) for program in PROGRAMS]
    ports = platform.ports()
    known = {(loopback.IPV4, ports[name]) for name in ("api", "edge", "nats")}
    assert tcp_doors(pids) == known | {(host, ports["edge"]) for host in loopback.hosts()}
    assert {name.rpartition("/")[2] for name in unix_doors(pids)} == {"xds.sock", "admin.sock"}


async def test_the_ports_give_a_stranger_only_what_is_public(platform, knock):
    ports = platform.ports()

    def door(name):
        return ["tcp", "127.0.0.1", ports[name]]

    private = ["/v1/deployments", "/v1/projects", "/v1/models", "/v1/logs", "/metrics", "/v1/nothing"]
    answers = knock([(door("api"), http("GET", path)) for path in private])
    assert [answer[9:12] for answer in answers if answer[9:12] not in (b"401", b"404")] == []
    assert b"401" in {answer[9:12] for answer in answers}

    def is_told_the_health() -> bool:
        (health,) = knock([(door("api"), http("GET", "/v1/health"))])
        return health[9:12] == b"200"

    # A platform whose machine stands still for some seconds is not well for a moment.
    await eventually(is_told_the_health)
    connect = b'CONNECT {"verbose":false}\r\nSUB > 1\r\nPUB append.x 1\r\nx\r\nPING\r\n'
    # Two seconds after it was let in whoever has said nothing yet is told so, and has to come again.
    lines = late = [b"-ERR 'Authentication Timeout'"]
    while lines == late:
        (greeting,) = knock([(door("nats"), connect)])
        if greeting == "ConnectionResetError":
            continue
        lines = [line for line in greeting.splitlines() if not line.startswith(b"INFO ")]
    assert lines == [b"-ERR 'Authorization Violation'"]
    (edge,) = knock([(door("edge"), http("GET", "/clusters"))])
    assert edge[9:12] == b"404"


async def test_the_inner_sockets_give_a_stranger_nothing(platform, knock):
    xds, admin = sockets(platform.home)
    asked = [http("GET", path) for path in ADMIN_PATHS]
    asked += [http(method, path) for method in ("POST", "GET") for path in ADMIN_DEEDS]
    answers = knock([(admin, said) for said in asked])
    pid = platform.pid("envoy")
    if knock.is_another:
        assert set(answers) == {"PermissionError"}
        assert knock([(xds, HTTP2)]) == ["PermissionError"]
    else:
        assert {answer[9:12] for answer in answers} <= {b"403", b"404"}, answers
        assert not [answer for answer in answers if b"cluster_statuses" in answer or b"127.0.0.1" in answer]
        (settings,) = knock([(xds, HTTP2)], within_s=STAYS_OPEN_S)
        assert b"token" not in settings
    assert platform.pid("envoy") == pid
    os.kill(pid, 0)


async def test_the_token_is_in_no_argument_environment_or_log(platform):
    folder = platform.home / "envoy"
    token = (folder / "token").read_text().strip()
    assert len(token) == 64
    for path in (folder / "token", folder / "bootstrap.json"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    for program in PROGRAMS:
        for kind in ("cmdline", "environ"):
            assert token.encode() not in shown(platform.pid(program), kind), (program, kind)
    for path in (platform.home / "logs").iterdir():
        assert token not in path.read_text(errors="replace"), path


def shown(pid, kind):
    return Path(f"/proc/{pid}/{kind}").read_bytes()
