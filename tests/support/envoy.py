"""A real Envoy with the platform's own bootstrap, as a fixture."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from libs.common import envoy_folder
from libs.common.ids import new_id
from libs.supervisor import envoy_config
from tests.support.plain_http import plain_client
from tests.support.polling import eventually

ROOT = Path(__file__).resolve().parents[2]
BOOTSTRAP = ROOT / "infra" / "envoy" / "bootstrap.json"
LOOKED_AT = ("/server_info", "/stats", "/config_dump", "/clusters?format=json")
OPTIONS = envoy_config.OPTIONS


def find_envoy() -> str | None:
    """`ENVOY_BIN`, the one that the set-up installs, or the one on the path."""
    installed = ROOT / ".envoy" / "bin" / "envoy"
    candidates = (os.environ.get("ENVOY_BIN"), str(installed), shutil.which("envoy"))
    return next((c for c in candidates if c and Path(c).is_file()), None)


@dataclass
class EnvoyProcess:
    """folder: where it meets its control plane, for its owner alone. heap_mib, open_files: its limits."""

    binary: str
    folder: Path
    heap_mib: int = 2048
    open_files: int = 2048
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    process: asyncio.subprocess.Process | None = None
    start_id: str = ""
    """Of the last start."""
    flush_interval: str = ""
    eviction_interval: str = ""
    """Empty: as the platform has it."""

    def __post_init__(self) -> None:
        self.folder.chmod(0o700)
        (self.folder / envoy_folder.TOKEN).write_text(self.token)
        self._descriptor = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def socket(self, name: str) -> str:
        """The path of one of its sockets, short enough for any folder."""
        return f"/proc/self/fd/{self._descriptor}/{name}"

    async def start(self) -> None:
        text = envoy_config.render(
            BOOTSTRAP.read_text(), token=self.token, heap_mib=self.heap_mib, open_files=self.open_files
        )
        configuration = json.loads(text)
        # Tests look inside; the platform's own answers only what the router asks.
        configuration["admin"]["allow_paths"] += [{"prefix": path} for path in LOOKED_AT]
        for name in ("flush_interval", "eviction_interval"):
            if value := getattr(self, name):
                configuration[f"stats_{name}"] = value
        self.start_id = new_id()
        bootstrap = self.folder / envoy_config.BOOTSTRAP
        bootstrap.write_text(json.dumps(configuration))
        with self.log.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                self.binary,
                "--config-path",
                str(bootstrap),
                *OPTIONS,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env={**os.environ, envoy_config.START_VARIABLE: envoy_config.started(self.start_id)},
            )
        await eventually(self.is_up, because="Envoy's admin socket never opened")

    def admin(self) -> httpx.AsyncClient:
        """A client of its admin interface."""
        return plain_client(uds=self.socket(envoy_folder.ADMIN_SOCKET), base_url="http://envoy")

    @property
    def log(self) -> Path:
        return self.folder / "envoy.log"

    async def is_up(self) -> bool:
        try:
            async with self.admin() as client:
                return (await client.get("/server_info")).is_success
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
    process = EnvoyProcess(binary, tmp_path)
    yield process
    await process.stop()
