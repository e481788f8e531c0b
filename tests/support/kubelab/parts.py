"""One process of a cluster: started, killed, started again, always with the same arguments."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from libs.common.clock import monotonic
from tests.support.polling import PATIENCE_S

_LOG_TAIL = 4000


class DidNotStart(Exception):
    """A part ended, or was not ready in time; with the end of what it logged."""


class Part:
    """One part, which ends with the process that started it, however that one ends.

    name: what to call it. log: what it says, appended to across its starts.
    """

    def __init__(self, name: str, command: Sequence[str | Path], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process, f"{self.name} was never started"
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Returns at once; `wait_until` waits."""
        assert not self.is_alive, f"{self.name} runs already"
        self._close()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                # The end of this pipe is how it learns of ours: see tied.go.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {}), "KUBELAB_ENDS_WITH_STDIN": "1"},
                # Ctrl-C is for whoever started it, which ends its parts in the right order.
                start_new_session=True,
            )

    def kill(self) -> None:
        """As a crash does. Of a part that never ran, or has ended, nothing is left to do."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self._close()

    def terminate(self, patience_s: float) -> None:
        """Lets it tidy up for so long."""
        if self._process:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=patience_s)
        self.kill()

    def pause(self) -> None:
        """As a machine that has stalled: connected, and silent.

        Returns when the last of its threads has stopped; on a busy machine they go on for a while."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wait_until(self, is_ready: Callable[[], object], *, patience_s: float = PATIENCE_S) -> None:
        """DidNotStart when the process ends before, or it takes longer than `patience_s`."""
        assert self._process
        deadline = monotonic() + patience_s
        while not is_ready():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.02)
            if not self.is_alive:
                raise DidNotStart(f"{self.name} ended with {self._process.returncode}:\n{self.tail()}")
            if monotonic() > deadline:
                raise DidNotStart(f"{self.name} is not ready after {patience_s:.0f} s:\n{self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-_LOG_TAIL:] if self.log.exists() else ""

    def _close(self) -> None:
        if self._process and self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
