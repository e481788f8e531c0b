"""The autoscaler as a process, as many copies of it as a test wants."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path


class Copy:
    """`python -m services.autoscaler`, or what stands in for it; what it logs goes to a file of its own."""

    def __init__(self, home: Path, nats_url: str, name: str, number: int) -> None:
        self._log = home / f"{name}.log"
        self._environment = {
            **os.environ,
            "SPECSTREAM_HOME": str(home),
            "SPECSTREAM_NATS_URL": nats_url,
            "SPECSTREAM_PROGRAM": "autoscaler",
            "SPECSTREAM_COPY_NUMBER": str(number),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._began = 0
        """Where in the file the present process begins."""

    def start(self, module: str = "services.autoscaler") -> None:
        self._began = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module], env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def said(self, event: str) -> int:
        if not self._log.exists():
            return 0
        # What follows the last end of a line is still being written.
        *lines, _ = self._log.read_bytes()[self._began :].split(b"\n")
        return sum(json.loads(line).get("event") == event for line in lines if line.startswith(b"{"))

    def leads(self) -> bool:
        return self.said("lease taken") > self.said("lease given up")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            for number in (signal.SIGCONT, signal.SIGKILL):
                self.process.send_signal(number)
            self.process.wait()
