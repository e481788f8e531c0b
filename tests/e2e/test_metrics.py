"""Metrics of a whole platform, as a Prometheus reads them."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.free_ports import free_port
from tests.support.live_platform import ROOT, LivePlatform, hello
from tests.support.plain_http import plain_client
from tests.support.platform_process import SERVICES
from tests.support.polling import eventually
from tests.support.prometheus import Prometheus

ALERTS = ROOT / "infra/prometheus/alerts.yaml"


@pytest.fixture
async def scraped_platform(tmp_path: Path) -> AsyncIterator[LivePlatform]:
    platform = LivePlatform(tmp_path / "home", SPECSTREAM_METRICS="prometheus")
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


def targets(platform: LivePlatform) -> dict[str, str]:
    listed = json.loads((platform.home / "run/prometheus-targets.json").read_text())
    return {each["labels"]["service"]: each["targets"][0] for each in listed}


async def read(platform: LivePlatform, service: str) -> str:
    token = (platform.home / "run/metrics-token").read_text()
    async with plain_client() as client:
        answer = await client.get(
            f"http://{targets(platform)[service]}/metrics", headers={"Authorization": f"Bearer {token}"}
        )
    answer.raise_for_status()
    return answer.text


async def test_each_service_shows_its_metrics_to_whoever_has_the_token(scraped_platform: LivePlatform):
    await scraped_platform.deploy(hello("measured"))
    assert set(targets(scraped_platform)) == set(SERVICES)
    for service, target in targets(scraped_platform).items():
        await read(scraped_platform, service)  # empty where nothing was counted yet
        async with plain_client() as client:
            assert (await client.get(f"http://{target}/metrics")).status_code == 401
    shown = await read(scraped_platform, "health")
    assert 'specstream_health_probes_total{check="readiness",outcome="success"}' in shown
    assert 'specstream_health_probe_duration_seconds_bucket{form="http",le="0.1"}' in shown
    for service in ("api", "health", "reconciler"):
        stored = f'specstream_log_append_duration_seconds_count{{outcome="stored",service="{service}"}}'
        assert stored in await read(scraped_platform, service)


async def test_what_fails_is_counted_for_its_deployment(scraped_platform: LivePlatform):
    never = {"readiness": {"exec": {"command": ["false"]}, "periodSeconds": 1, "timeoutSeconds": 30}}
    deployment_id = await scraped_platform.submit(hello("failing", checks=never))

    async def is_counted() -> bool:
        shown = await read(scraped_platform, "health")
        return f'specstream_health_failed_probes_total{{deployment_id="{deployment_id}"}}' in shown

    await eventually(is_counted)


@asynccontextmanager
async def a_prometheus(prometheus: Prometheus, home: Path, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """As docs/how-to/operate.md says, only faster."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [
            {
                "job_name": "specstream",
                "authorization": {"credentials_file": str(home / "run/metrics-token")},
                "file_sd_configs": [{"files": [str(home / "run/prometheus-targets.json")]}],
            }
        ],
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            prometheus.server,
            f"--config.file={path}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}/api/v1", trust_env=False) as client:
            yield client
    finally:
        server.kill()
        await server.wait()


async def asked(client: httpx.AsyncClient, query: str) -> list[dict]:
    answer = await client.get("/query", params={"query": query})
    body = answer.json()
    assert body["status"] == "success", (query, body)
    return body["data"]["result"]


def test_prometheus_takes_the_alert_rules(prometheus: Prometheus):
    checked = subprocess.run(
        [prometheus.tool, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_a_real_prometheus_reads_all_services_and_has_nothing_to_alert(
    prometheus: Prometheus, scraped_platform: LivePlatform, tmp_path: Path
):
    await scraped_platform.deploy(hello("watched"))
    async with a_prometheus(prometheus, scraped_platform.home, tmp_path) as client:

        async def all_are_up() -> bool:
            try:
                if (await client.get("/status/runtimeinfo")).status_code != 200:  # it begins
                    return False
            except httpx.TransportError:
                return False
            up = await asked(client, 'up{job="specstream"} == 1')
            return {each["metric"]["service"] for each in up} == set(SERVICES)

        await eventually(all_are_up)
        assert await asked(client, 'specstream_log_append_duration_seconds_count{outcome="stored"}')
        assert await asked(client, 'specstream_health_probes_total{outcome="success"}')
        (group,) = (await client.get("/rules")).json()["data"]["groups"]
        for rule in group["rules"]:
            await asked(client, rule["query"])
            assert rule["state"] in ("inactive", "unknown"), rule
