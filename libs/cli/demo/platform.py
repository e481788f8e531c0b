"""A platform in a temporary home, for the time of a demo."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from libs.cli.errors import CommandFailed, describe
from libs.client import Client, ClientError
from libs.common.clock import monotonic
from libs.common.services import SERVICES
from libs.supervisor import ports
from libs.supervisor.settings import ROOT

UP_WITHIN_S = 180.0
DOWN_WITHIN_S = 180.0
TAIL = 15
"""Lines of each service's log that a failed demo shows."""


class DemoFailed(Exception):
    """A step of the demo is not as it should be. details: the end of each service's log."""

    def __init__(self, reason: str, details: Sequence[str] = ()) -> None:
        self.details = tuple(details)
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Platform:
    home: Path
    client: Client
    process: subprocess.Popen[bytes]


@contextmanager
def temporary_platform(*, machine_types: str = "", **settings: str) -> Iterator[Platform]:
    """The real platform, as `make up` starts it, on free ports; gone with its home afterwards.

    machine_types: the text of their file, instead of the bundled one. settings: more of its environment.
    """
    with tempfile.TemporaryDirectory(prefix="specstream-demo-") as directory:
        home = Path(directory)
        api = ports.pick()
        while (edge := ports.pick()) == api:
            pass
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SPECSTREAM_")},
            "SPECSTREAM_HOME": str(home),
            "SPECSTREAM_API_PORT": str(api),
            "SPECSTREAM_EDGE_PORT": str(edge),
            **settings,
        }
        if machine_types:
            types = home / "my-machine-types.yaml"
            types.write_text(machine_types)
            environment["SPECSTREAM_MACHINE_TYPES"] = str(types)
        with (home / "up.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "libs.supervisor", "up"],
                cwd=ROOT,
                env={**environment, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            key = _await_key(home, process)
            with Client(f"http://127.0.0.1:{api}", key) as client:
                _await_health(client, home, process)
                yield Platform(home, client, process)
        except DemoFailed as error:
            raise DemoFailed(str(error), list(_last_words(home))) from error
        except CommandFailed as error:
            raise DemoFailed("\n".join(error.lines), list(_last_words(home))) from error
        except ClientError as error:
            raise DemoFailed("\n".join(describe(error)), list(_last_words(home))) from error
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DOWN_WITHIN_S)


def _last_words(home: Path) -> Iterator[str]:
    for name in ("up", *SERVICES, "nats", "envoy"):
        path = home / "up.log" if name == "up" else home / "logs" / f"{name}.log"
        if not path.exists():
            continue
        lines = path.read_text(errors="replace").splitlines()[-TAIL:]
        if lines:
            yield f"--- {name}"
            yield from lines


def _await_key(home: Path, process: subprocess.Popen[bytes]) -> str:
    path = home / "api-key"
    deadline = monotonic() + UP_WITHIN_S
    while not path.exists():
        _still_up(process, deadline, "the platform wrote no api-key")
    return path.read_text().strip()


def _await_health(client: Client, home: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + UP_WITHIN_S
    while True:
        try:
            client.health()
        except ClientError as error:
            _still_up(process, deadline, f"the platform in {home} is not healthy: {error}")
        else:
            return


def _still_up(process: subprocess.Popen[bytes], deadline: float, complaint: str) -> None:
    if process.poll() is not None:
        raise DemoFailed(f"the platform ended with status {process.returncode}")
    if monotonic() > deadline:
        raise DemoFailed(complaint)
    time.sleep(0.1)
