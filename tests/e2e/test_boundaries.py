"""What must not get out (promise 7), and what must not get in."""

import sys
from pathlib import Path

from libs.common.cluster.local.shim import proc
from tests.support.live_platform import hello


async def test_the_api_key_is_in_no_arguments_of_any_process(shared_platform):
    await shared_platform.deploy(hello("unkeyed"))
    key = shared_platform.key.encode()
    assert len(key) >= 32
    assert not [pid for pid in proc.pids() if key in _arguments(pid)]
    for log in (shared_platform.home / "logs").iterdir():
        assert key not in log.read_bytes(), log
    assert (shared_platform.home / "api-key").stat().st_mode & 0o777 == 0o600


async def test_a_replica_knows_nothing_of_the_platform_but_its_own_place(shared_platform):
    deployment_id = await shared_platform.deploy(hello("modest", MINE="yes"))
    ((replica_id, pid),) = (await shared_platform.replica_pids(deployment_id)).items()
    environment = _environment(pid)
    spec = await shared_platform.spec(deployment_id)
    assert environment.keys() == {
        "PORT",
        "SPECSTREAM_DEPLOYMENT_ID",
        "SPECSTREAM_RUN_ID",
        "SPECSTREAM_REPLICA_ID",
        "PATH",
        "HOME",
        "TMPDIR",
        "MINE",
    }
    assert environment["SPECSTREAM_DEPLOYMENT_ID"] == deployment_id
    assert environment["SPECSTREAM_RUN_ID"] == spec["runId"]
    assert environment["SPECSTREAM_REPLICA_ID"] == replica_id


async def test_headers_under_our_names_are_dropped_in_both_directions(shared_platform):
    liar = (
        "import http.server, os\n"
        "class Liar(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        told = [name for name in self.headers if name.lower().startswith('x-specstream-')]\n"
        "        body = repr(told).encode()\n"
        "        self.send_response(200)\n"
        "        for name in ('replica', 'spec', 'deployment', 'other'):\n"
        "            self.send_header('X-Specstream-' + name, 'forged')\n"
        "        self.send_header('Content-Length', str(len(body)))\n"
        "        self.end_headers()\n"
        "        self.wfile.write(body)\n"
        "http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Liar).serve_forever()\n"
    )
    config = {**hello("liar"), "command": [sys.executable, "-I", "-c", liar]}
    del config["healthChecks"]
    deployment_id = await shared_platform.deploy(config)
    async with shared_platform.calling(deployment_id, lanes=1) as caller:
        forged = {f"x-specstream-{name}": "forged" for name in ("replica", "spec", "deployment", "other")}
        answer = await caller.once(headers=forged)
    assert answer.text == "[]"
    ours = {
        name: answer.headers.get_list(name) for name in answer.headers if name.startswith("x-specstream-")
    }
    (replica_id,) = await shared_platform.replica_pids(deployment_id)
    spec = await shared_platform.spec(deployment_id)
    assert ours == {
        "x-specstream-deployment": [deployment_id],
        "x-specstream-spec": [spec["id"]],
        "x-specstream-replica": [replica_id],
    }


async def test_without_the_key_nothing_is_answered_but_health(shared_platform):
    for key in ("", "Bearer wrong"):
        answer = await shared_platform.ask("GET", "/deployments", headers={"authorization": key})
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
    answer = await shared_platform.ask("GET", "/health", headers={"authorization": ""})
    assert (answer.status_code, answer.json()) == (200, "HEALTHY")


async def test_too_large_a_body_is_refused(shared_platform):
    answer = await shared_platform.ask("POST", "/deployments", content=b" " * (256 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


def _arguments(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _environment(pid: int) -> dict[str, str]:
    content = Path(f"/proc/{pid}/environ").read_bytes().rstrip(b"\0").decode()
    return dict(entry.split("=", 1) for entry in content.split("\0"))


async def test_a_replica_has_the_usual_umask(shared_platform):
    deployment_id = await shared_platform.deploy(hello("usual-umask"))
    (pid,) = (await shared_platform.replica_pids(deployment_id)).values()
    assert b"Umask:\t0022" in _status(pid)
    await shared_platform.delete(deployment_id)


def _status(pid):
    return Path(f"/proc/{pid}/status").read_bytes()
