"""A real Envoy with the platform's own bootstrap, as a fixture."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import httpx
import pytest

from tests.support.polling import eventually

ROOT = Path(__file__).resolve().parents[2]
BOOTSTRAP = ROOT / "infra" / "envoy" / "bootstrap.json"
OPTIONS = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")


def find_envoy() -> str | None:
    """`ENVOY_BIN`, the one that the set-up installs, or the one on the path."""
    installed = ROOT / ".envoy" / "bin" / "envoy"
    candidates = (os.environ.get("ENVOY_BIN"), str(installed), shutil.which("envoy"))
    return next((c for c in candidates if c and Path(c).is_file()), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class EnvoyProcess:
    """xds_port: where its control plane is, or will be."""

    binary: str
    folder: Path
    xds_port: int
    admin_port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        text = Template(BOOTSTRAP.read_text()).substitute(
            ADMIN_PORT=self.admin_port, XDS_PORT=self.xds_port, NODE_ID="test"
        )
        bootstrap = self.folder / "bootstrap.json"
        bootstrap.write_text(text)
        with self.log.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                self.binary, "--config-path", str(bootstrap), *OPTIONS, stdout=out, stderr=out
            )
        await eventually(self.is_up, within_s=20, because="Envoy's admin port never opened")

    @property
    def log(self) -> Path:
        return self.folder / "envoy.log"

    async def is_up(self) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"http://127.0.0.1:{self.admin_port}/server_info")).is_success
        except httpx.HTTPError:
            return False

    async def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
            await self.process.wait()
        self.process = None


@pytest.fixture
async def envoy(tmp_path: Path) -> AsyncIterator[EnvoyProcess]:
    """Not started yet: `await envoy.start()`."""
    binary = find_envoy()
    if binary is None:
        pytest.skip("no Envoy: neither ENVOY_BIN, nor .envoy/bin/envoy (make setup), nor envoy on the path")
    process = EnvoyProcess(binary, tmp_path, free_port())
    yield process
    await process.stop()
