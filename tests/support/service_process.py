"""One service as a process of its own, without the rest of a platform."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.polling import PATIENCE_S, eventually


class ServiceProcess:
    """`python -m services.<name>` with a home; what it logs goes to a file. environment: more settings."""

    def __init__(self, name: str, home: Path, nats_url: str, **environment: str) -> None:
        self._name = name
        self._log = home / f"{name}-{environment.get('SPECSTREAM_COPY_NUMBER', '1')}.log"
        self._environment = {
            **os.environ,
            "SPECSTREAM_HOME": str(home),
            "SPECSTREAM_NATS_URL": nats_url,
            "SPECSTREAM_GRACE_SECONDS": "2",
            "SPECSTREAM_RESYNC_SECONDS": "1",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self._name}"],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def said(self) -> str:
        return self._log.read_text()

    def end(self, number: int) -> int:
        """Sends the signal and returns the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout=PATIENCE_S)

    async def pause(self) -> None:
        """It does nothing until `go_on`, and nobody is told."""
        os.kill(self.pid, signal.SIGSTOP)
        await eventually(lambda: "State:\tT" in Path(f"/proc/{self.pid}/status").read_text())

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None
