"""The api as its own process, over a broker of the test, and a client of it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.free_ports import free_port
from tests.support.plain_http import plain_client
from tests.support.polling import PATIENCE_S, eventually
from tests.support.rest import KEY

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class ApiProcess:
    """home: as the supervisor gives it. output: what it wrote."""

    home: Path
    nats_url: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def output(self) -> str:
        return (self.home / "api.log").read_text()

    def memory_mib(self) -> float:
        """Proportional set size."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no Pss line")

    def cpu_s(self) -> float:
        """Also of the processes that it has started and seen the end of."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def client(self) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {KEY}"}
        return plain_client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=2 * PATIENCE_S)


@asynccontextmanager
async def api_process(
    home: Path, nats_url: str, *, module: str = "services.api"
) -> AsyncIterator[ApiProcess]:
    """Until it answers; ended by SIGTERM, which it must obey with status 0. module: what runs as the api."""
    running = start_api(home, nats_url, module=module)
    process = running.process
    try:
        async with running.client() as client:

            async def answers() -> bool:
                assert process.poll() is None, running.output
                try:
                    return (await client.get("/v1/projects")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(answers, every_s=0.05, because="the api does not answer")
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = await asyncio.to_thread(process.wait, PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the api did not end: {running.output}") from None
        if status != -signal.SIGKILL:
            assert status == 0, running.output


def start_api(home: Path, nats_url: str, *, module: str = "services.api") -> ApiProcess:
    """It may not answer yet."""
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "SPECSTREAM_PROGRAM": "api",
        "SPECSTREAM_HOME": str(home),
        "SPECSTREAM_NATS_URL": nats_url,
        "SPECSTREAM_API_PORT": str(port),
        "SPECSTREAM_API_KEY": KEY,
        # A busy machine may take longer than the ten seconds after which a client is told to come again.
        "SPECSTREAM_VISIBLE_TIMEOUT_S": str(PATIENCE_S),
        "SPECSTREAM_EDGE_PORT": "8081",
    }
    with (home / "api.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    return ApiProcess(home, nats_url, port, process)
