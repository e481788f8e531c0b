"""With a domain of its own a platform shows the endpoints that its Envoys serve, and serves no others."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from libs.cli.demo.calls import Caller
from tests.support.free_ports import free_port
from tests.support.live_platform import LivePlatform, hello
from tests.support.plain_http import plain_client
from tests.support.recorded_calls import Caller as RecordedCaller

DOMAIN = "apps.example.com"


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[LivePlatform]:
    started = LivePlatform(
        tmp_path / "home", SPECSTREAM_DOMAIN=DOMAIN, SPECSTREAM_MORE_EDGE_PORTS=str(free_port())
    )
    try:
        await started.start_and_wait()
        yield started
    finally:
        await started.close()


async def test_the_endpoint_that_is_shown_is_the_one_that_is_served(
    platform: LivePlatform, tmp_path: Path
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(hello("elsewhere")))
    # It ends when the endpoint leads to a replica.
    ended = await platform.cli("deploy", "-f", str(spec), "--json")
    assert ended.returncode == 0, ended.stderr
    deployed = json.loads(ended.stdout)
    deployment_id, endpoint = deployed["deploymentId"], deployed["endpoint"]
    host = f"d{deployment_id}.{DOMAIN}"
    edges = (platform.edge_port, int(platform.environment["SPECSTREAM_MORE_EDGE_PORTS"]))
    assert endpoint == f"{host}:{platform.edge_port}"
    assert (await platform.get(f"/deployments/{deployment_id}"))["endpoint"] == endpoint
    assert (await platform.get("/deployments"))["items"][0]["endpoint"] == endpoint
    assert Caller(endpoint, path="/").once().status_code == 200
    for port in edges:
        async with RecordedCaller(f"{host}:{port}") as caller:
            await caller.until_served()
        assert f"endpoints  http://d<deployment_id>.{DOMAIN}:{port}\n" in platform.output
    async with plain_client(base_url=f"http://127.0.0.1:{platform.edge_port}") as client:
        other = await client.get("/", headers={"host": f"d{deployment_id}.localhost"})
    assert (other.status_code, other.json()["error_code"]) == (404, "deployment_not_found")
