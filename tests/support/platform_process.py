"""A platform as a person runs it: `up` in a process of its own, in a home of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from libs.common.cluster.local.shim import proc
from libs.common.services import SERVICES
from tests.support.free_ports import free_port
from tests.support.polling import PATIENCE_S, eventually

ROOT = Path(__file__).resolve().parents[2]

PROGRAMS = (*SERVICES, "nats", "envoy")

STANDINS = {f"SPECSTREAM_MODULE_{name.upper()}": "tests.support.standin_service" for name in SERVICES}
"""Settings under which only NATS and Envoy are themselves."""


class PlatformProcess:
    """home: exists or not. environment: further settings of the platform. prefix: runs `up`."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home.resolve()
        self.api_port, self.edge_port = free_port(), free_port()
        self.environment = {
            "SPECSTREAM_HOME": str(self.home),
            "SPECSTREAM_API_PORT": str(self.api_port),
            "SPECSTREAM_EDGE_PORT": str(self.edge_port),
            # What a busy machine lets end slowly is not killed.
            "SPECSTREAM_GRACE_SECONDS": "15",
            # Many homes are kept for a while after their tests.
            "SPECSTREAM_DISK_RESERVE_MIB": "1",
            **environment,
        }
        self.prefix: tuple[str, ...] = ()
        self._ups: list[subprocess.Popen[bytes]] = []

    @property
    def _output_path(self) -> Path:
        return self.home.with_name(f"{self.home.name}.output")

    @property
    def output(self) -> str:
        """Everything that every `up` of this home has said."""
        return self._output_path.read_text()

    def start(self) -> None:
        with self._output_path.open("ab") as output:
            self._ups.append(
                subprocess.Popen(
                    [*self.prefix, sys.executable, "-m", "libs.supervisor", "up"],
                    cwd=ROOT,
                    env=self._env(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    async def start_and_wait(self, *, within_s: float = PATIENCE_S) -> None:
        """Raises AssertionError, with what was said, when it is not ready in time."""
        before = self.output.count("ready in") if self._output_path.exists() else 0
        self.start()

        def is_ready() -> bool:
            assert self._ups[-1].poll() is None, f"up ended:\n{self.output}"
            return self.output.count("ready in") > before

        try:
            await eventually(is_ready, within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from error
        await self.wait_for_all()

    async def start_until(self, said: str) -> None:
        """Start, and return in the middle of it: as soon as that is said."""
        before = self.output.count(said) if self._output_path.exists() else 0
        self.start()
        await eventually(lambda: self.output.count(said) > before, every_s=0.001)

    async def wait_for_all(self) -> None:
        """Every program has a process."""
        await eventually(lambda: all(self.pids().values()))

    async def wait(self, *, within_s: float = PATIENCE_S) -> int:
        """The exit status of the newest `up`."""
        return await asyncio.wait_for(asyncio.to_thread(self._ups[-1].wait), within_s)

    async def run(self, verb: str) -> subprocess.CompletedProcess[str]:
        """Another supervisor command on this home, to its end."""
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "libs.supervisor", verb],
            cwd=ROOT,
            env=self._env(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def ports(self) -> dict[str, int]:
        return json.loads((self.home / "run" / "ports.json").read_text())

    def pid(self, program: str) -> int | None:
        """As scripts learn it; None while there is no such process."""
        try:
            return int((self.home / "run" / f"{program}.pid").read_text())
        except FileNotFoundError:
            return None

    def pids(self) -> dict[str, int | None]:
        return {program: self.pid(program) for program in PROGRAMS}

    def send(self, program: str, number: signal.Signals = signal.SIGKILL) -> None:
        pid = self.pid(program)
        assert pid is not None, f"{program} is not running"
        os.kill(pid, number)
        if program == "supervisor" and number is signal.SIGKILL:
            self._ups[-1].wait()

    def left(self) -> dict[int, str]:
        """Every living process that was started in this home or for it, by pid, with its arguments."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                environment = proc.environment(int(entry.name)) or b""
                arguments = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            home = proc.variable(environment, "SPECSTREAM_HOME")
            if home == bytes(self.home) or str(self.home) in arguments:
                found[int(entry.name)] = arguments
        return found

    async def stop(self) -> None:
        """Whatever state it is in; raises AssertionError when something is left."""
        ended = await self.run("down")
        for up in self._ups:
            up.wait(timeout=PATIENCE_S)
        assert ended.returncode == 0, ended.stderr
        assert not self.left()

    def _env(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPECSTREAM_")}
        return {**inherited, **self.environment}
