"""Where the processes of a home show their metrics, in the form of Prometheus' `file_sd_configs`.

Each process writes its own place; the supervisor takes out what is to be there no more.
"""

import fcntl
import json
import os
import socket
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from libs.common.durable import replace_file

HOST: Final = "127.0.0.1"
TARGETS: Final = "prometheus-targets.json"
SERVICE: Final = "service"
PROCESS: Final = "process"
"""The label that tells copies of a service from each other. All of them have the same `service`, because an
alert asks whether any copy of it leads."""
PID: Final = "__pid__"
"""A label of a target; Prometheus keeps none that begins so."""


def list_target(run: Path, service: str, port: int, *, process: str = "") -> None:
    """Have the process at this port in the list, in place of where it was before, and beside another one of
    its name that runs. process: its name; empty for the service's."""
    name = process or service
    with closing_lock(run):
        others = [each for each in _targets(run) if _name_of(each) != name or _is_another_process(each)]
        labels = {SERVICE: service, PROCESS: name, PID: str(os.getpid())}
        _write(run, [*others, {"targets": [f"{HOST}:{port}"], "labels": labels}])


def keep_only(run: Path, names: Collection[str]) -> None:
    """Take out of the list whose name is none of these, but for what lives all the same: somebody may run a
    copy by himself."""
    if not (run / TARGETS).exists():
        return
    with closing_lock(run):
        listed = _targets(run)
        kept = [each for each in listed if _name_of(each) in names or _is_another_process(each)]
        if kept != listed:
            _write(run, kept)


def earlier_port(run: Path, name: str) -> int:
    """Where the process of this name was before, so who reads the list seldom finds nobody; 0 for any."""
    with closing_lock(run):
        for each in _targets(run):
            if _name_of(each) == name and not _is_another_process(each):
                return _port_of(each)
    return 0


def closing_lock(run: Path) -> Any:
    """Held while the block runs, by one process of the home."""
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = (run / f"{TARGETS}.lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock.fileno(), False)
    return closing(lock)


def _write(run: Path, targets: Iterable[dict[str, Any]]) -> None:
    listed = sorted(targets, key=_name_of)
    replace_file(str(run / TARGETS), (json.dumps(listed, indent=2) + "\n").encode())


def _targets(run: Path) -> list[dict[str, Any]]:
    try:
        listed = json.loads((run / TARGETS).read_bytes())
    except (FileNotFoundError, ValueError):
        return []
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _name_of(target: dict[str, Any]) -> str:
    """Of its process. What an earlier version listed has it as its service."""
    labels = target.get("labels", {})
    return str(labels.get(PROCESS, labels.get(SERVICE, "")))


def _port_of(target: dict[str, Any]) -> int:
    _, _, port = str(target["targets"][0]).rpartition(":")
    return int(port) if port.isdecimal() else 0


def _is_another_process(target: dict[str, Any]) -> bool:
    """Whether another process than this one is still there. Its number may be somebody else's by now, so its
    port has to be taken as well."""
    pid = str(target.get("labels", {}).get(PID, ""))
    if not pid.isdecimal() or int(pid) == os.getpid() or not Path(f"/proc/{pid}").exists():
        return False
    with closing(socket.socket()) as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind((HOST, _port_of(target)))
        except OSError:
            return True
    return False
