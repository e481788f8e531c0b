"""A real Prometheus: the machine's own, or Debian's package, unpacked and not installed."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from libs.common.services import SERVICES
from tests.support.free_ports import free_port
from tests.support.plain_http import plain_client
from tests.support.platform_process import ROOT

ALERTS = ROOT / "infra/prometheus/alerts.yaml"
PROGRAMS = ("prometheus", "promtool")


@dataclass(frozen=True)
class Prometheus:
    server: str
    tool: str


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Prometheus:
    """Skips where there is none to be had, saying why."""
    found = [shutil.which(program) for program in PROGRAMS]
    if all(found):
        return Prometheus(*map(str, found))
    if not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        pytest.skip("no prometheus and promtool here, and no apt-get to fetch Debian's package")
    folder = tmp_path_factory.mktemp("prometheus")
    try:
        fetched = _run(["apt-get", "download", "prometheus"], folder)
    except subprocess.TimeoutExpired as error:
        pytest.skip(f"no prometheus here, and Debian's cannot be fetched: {error}")
    packages = list(folder.glob("prometheus_*.deb"))
    if fetched.returncode or not packages:
        pytest.skip(f"no prometheus here, and Debian's cannot be fetched: {fetched.stderr.strip()[-200:]}")
    unpacked = _run(["dpkg-deb", "-x", str(packages[0]), "."], folder)
    assert unpacked.returncode == 0, unpacked.stderr
    packages[0].unlink()
    return Prometheus(*(str(folder / "usr/bin" / program) for program in PROGRAMS))


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


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
        async with plain_client(base_url=f"http://{address}/api/v1") as client:
            yield client
    finally:
        server.kill()
        await server.wait()


async def asked(client: httpx.AsyncClient, query: str) -> list[dict]:
    answer = await client.get("/query", params={"query": query})
    body = answer.json()
    assert body["status"] == "success", (query, body)
    return body["data"]["result"]


async def all_are_up(client: httpx.AsyncClient) -> bool:
    """Whether it has read all services of the platform."""
    try:
        if (await client.get("/status/runtimeinfo")).status_code != 200:  # it begins
            return False
    except httpx.TransportError:
        return False
    up = await asked(client, 'up{job="specstream"} == 1')
    return {each["metric"]["process"] for each in up} == set(SERVICES)
