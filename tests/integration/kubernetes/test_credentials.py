"""Who we are to the API server, and how it is reached. Everything goes over a socket."""

import asyncio
import json
import stat
from contextlib import nullcontext
from datetime import timedelta

import pytest
from aiohttp import web
from kubernetes.aio.config import incluster_config

from libs.common.clock import monotonic, to_rfc3339, utc_now
from libs.common.cluster.kubernetes.client import Client
from libs.common.cluster.kubernetes.credentials import BEFORE_END_S, REREAD_S, BadKubeconfig, load
from libs.common.cluster.kubernetes.patience import Unanswered
from libs.common.cluster.kubernetes.refusals import Unauthorized
from libs.common.errors import ClusterUnavailable
from tests.support.api_server import connected, serving, status, write_kubeconfig

POD = {"metadata": {"name": "r-1"}}
OK = web.json_response(POD)
NOBODY = "http://127.0.0.1:1"
"""Where no server is."""


class Ticks:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def server():
    async with serving() as running:
        running.then(OK)
        yield running


def command(tmp_path, *lines):
    """A credential plugin; it counts its calls in a file."""
    script = tmp_path / "plugin"
    script.write_text("#!/bin/sh\n" + f"echo x >> {tmp_path}/calls\n" + "\n".join(lines))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script)}}


def telling(token, expires_at=None):
    said = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "token": token,
            **({"expirationTimestamp": to_rfc3339(expires_at)} if expires_at else {}),
        },
    }
    return f"echo '{json.dumps(said)}'"


async def test_a_token_that_is_not_taken_any_more_is_read_again_once(server, tmp_path):
    token = tmp_path / "token"
    token.write_text("old")
    async with connected(server, tmp_path, user={"tokenFile": str(token)}) as client:
        await client.get("pods", "r-1")
        token.write_text("new")
        server.then(status(401, "Unauthorized"), OK)
        assert await client.get("pods", "r-1") == POD
    assert server.tokens == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_token_file_is_read_again_in_time(server, tmp_path):
    token, ticks = tmp_path / "token", Ticks()
    token.write_text("old")
    async with connected(server, tmp_path, user={"tokenFile": str(token)}, ticks=ticks) as client:
        await client.get("pods", "r-1")
        token.write_text("new")
        await client.get("pods", "r-1")
        ticks.now += REREAD_S
        await client.get("pods", "r-1")
    assert server.tokens == ["Bearer old", "Bearer old", "Bearer new"]


async def test_credentials_that_stay_refused_make_the_cluster_unavailable(server, tmp_path):
    server.then(status(401, "Unauthorized"))
    async with connected(server, tmp_path) as client:
        with pytest.raises(Unauthorized, match="does not take the credentials"):
            await client.get("pods", "r-1")
    assert len(server.tokens) == 2


async def test_a_command_is_asked_again_before_its_token_ends_and_when_it_is_refused(server, tmp_path):
    ticks = Ticks()
    user = command(tmp_path, telling("from-plugin", utc_now() + timedelta(seconds=1_000)))
    calls = tmp_path / "calls"
    async with connected(server, tmp_path, user=user, ticks=ticks) as client:
        for _ in range(3):
            await client.get("pods", "r-1")
        assert calls.read_text().count("x") == 1
        ticks.now += 1_000 - BEFORE_END_S
        await client.get("pods", "r-1")
        assert calls.read_text().count("x") == 2
        server.then(status(401), OK)
        await client.get("pods", "r-1")
        assert calls.read_text().count("x") == 3
    assert set(server.tokens) == {"Bearer from-plugin"}


async def test_many_that_are_refused_at_once_ask_the_command_once(server, tmp_path):
    first, second = telling("first"), telling("second")
    user = command(tmp_path, f"if [ $(wc -l < {tmp_path}/calls) = 1 ]; then {first}; else {second}; fi")

    async def only_the_second(request):
        is_second = request.headers["authorization"] == "Bearer second"
        return web.json_response(POD) if is_second else web.json_response({}, status=401)

    async with connected(server, tmp_path, user=user) as client:
        await client.get("pods", "r-1")
        server.then(only_the_second)
        await asyncio.gather(*(client.get("pods", "r-1") for _ in range(8)))
    assert (tmp_path / "calls").read_text().count("x") == 2


async def test_a_command_that_gives_nothing_is_named(server, tmp_path):
    async with connected(server, tmp_path, user=command(tmp_path, "exit 3")) as client:
        with pytest.raises(ClusterUnavailable, match=r"plugin' that .* names as users.*gives no credentials"):
            await client.get("pods", "r-1")
    assert server.tokens == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file or directory"),
        ("just words", "it is str, not a mapping"),
        ("{", "it is no YAML"),
        ("clusters: []", "it has no clusters"),
        ("{clusters: [{}], contexts: [{}], current-context: gone}", "Invalid kube-config file"),
        (
            "{clusters: [{name: c, cluster: {}}], "  # noqa: ISC004
            "contexts: [{name: x, context: {cluster: other}}], current-context: x}",
            "Expected object with name other in",
        ),
    ],
)
async def test_what_is_no_kubeconfig_is_named(tmp_path, text, why):
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    client = Client(path, "replicas", clock=utc_now, ticks=monotonic)
    with pytest.raises(
        BadKubeconfig, match=rf"SPECSTREAM_KUBECONFIG is '{path}': .*{why}.*; allowed: a kubeconfig"
    ):
        await client.get("pods", "r-1")


@pytest.mark.parametrize("without", ["", "127.0.0.1"])
async def test_a_proxy_of_the_environment_is_used_but_for_servers_that_are_excepted(
    server, tmp_path, monkeypatch, without
):
    """The server is that proxy, so what reaches it came by way of it."""
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", without)
    config = write_kubeconfig(tmp_path / "config", NOBODY, {"token": "first"})
    client = Client(config, "replicas", clock=utc_now, ticks=monotonic)
    try:
        with nullcontext() if not without else pytest.raises(Unanswered, match="cannot be reached"):
            assert await client.get("pods", "r-1") == POD
    finally:
        await client.close()
    assert server.tokens == ([] if without else ["Bearer first"])


async def test_a_password_of_netrc_is_not_sent(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with connected(server, tmp_path, user={}) as client:
        await client.get("pods", "r-1")
    assert server.tokens == [""]


async def test_outside_of_a_cluster_the_kubeconfig_has_to_be_named(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    client = Client(None, "replicas", clock=utc_now, ticks=monotonic)
    with pytest.raises(BadKubeconfig, match="SPECSTREAM_KUBECONFIG is not set, and this is no pod"):
        await client.get("pods", "r-1")


async def test_inside_of_a_cluster_it_is_the_account_of_the_pod_and_its_newest_token(tmp_path, monkeypatch):
    token, authority, ticks = tmp_path / "token", tmp_path / "ca.crt", Ticks()
    for file, text in ((token, "first"), (authority, "an authority"), (tmp_path / "namespace", "theirs")):
        file.write_text(text)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    before = await load(None, clock=utc_now, ticks=ticks)
    assert before.configuration.host == "https://[fd00::1]:6443"
    assert before.configuration.ssl_ca_cert == str(authority)
    assert await before.headers() == {"authorization": "bearer first"}
    assert before.due_at == ticks.now + REREAD_S
    token.write_text("second")
    after = await load(None, clock=utc_now, ticks=ticks)
    assert await after.headers() == {"authorization": "bearer second"}
    # The token alone is another one, so connections stay; with another authority they would not.
    assert after.fingerprint == before.fingerprint
    authority.write_text("another authority")
    assert (await load(None, clock=utc_now, ticks=ticks)).fingerprint != before.fingerprint
