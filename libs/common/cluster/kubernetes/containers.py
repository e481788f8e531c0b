"""The one container of a pod that is a replica, as its kubelet tells of it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from libs.common.cluster.kubernetes import names
from libs.common.cluster.port import Exit

JSON = Mapping[str, Any]
_NOTHING: Final[JSON] = MappingProxyType({})

PULL_FAILED: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
START_FAILED: Final = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
    }
)
CRASHED: Final = "CrashLoopBackOff"
NEVER_STARTED: Final = frozenset({"StartError", "ContainerCannotRun"})
"""What the end of a container is called whose process the runtime could not start."""

_BACK_OFF: Final = re.compile(r"back-off (?P<time>(?:\d+h)?(?:\d+m)?(?:[\d.]+s)?) restarting")
_UNIT_S: Final = {"h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Container:
    """The state of the one container."""

    is_ready: bool = False
    restarts: int = 0
    state: str = "waiting"
    """`waiting`, `running` or `terminated`."""
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    ended: Exit | None = None
    """How the present process ended, where it has, else how the one before did."""
    ended_started_at: datetime | None = None
    """When that one had started."""
    ended_because: str = ""
    """What the kubelet calls that, such as `OOMKilled`."""
    ended_message: str = ""
    """What the runtime says of it."""

    @property
    def never_started(self) -> bool:
        """Whether there was no process at all when it was tried last: the runtime could not start it."""
        return self.state != "running" and self.ended_because in NEVER_STARTED


def parse_container(status: JSON) -> Container:
    """From the status of its pod."""
    of_ours = (one for one in status.get("containerStatuses") or () if one.get("name") == names.CONTAINER)
    given = next(of_ours, _NOTHING)
    state = given.get("state") or _NOTHING
    before = (given.get("lastState") or _NOTHING).get("terminated")
    kind = next((kind for kind in ("running", "terminated", "waiting") if kind in state), "waiting")
    present = state.get(kind) or _NOTHING
    ended = present if kind == "terminated" else before
    # What never started is said to have started in 1970.
    ended_because = (ended or _NOTHING).get("reason") or ""
    ended_started = None if ended_because in NEVER_STARTED else (ended or _NOTHING).get("startedAt")
    started = present.get("startedAt") if kind == "running" else ended_started
    return Container(
        is_ready=bool(given.get("ready", False)),
        restarts=int(given.get("restartCount", 0)),
        state=kind,
        reason=present.get("reason") or "",
        message=present.get("message") or "",
        started_at=moment(started) if started else None,
        ended=_exit(ended) if ended else None,
        ended_started_at=moment(ended_started) if ended_started else None,
        ended_because=ended_because,
        ended_message=(ended or _NOTHING).get("message") or "",
    )


def _exit(terminated: JSON) -> Exit:
    """A process that a signal ended has 128 and the signal as its exit code."""
    at = moment(terminated["finishedAt"]) if terminated.get("finishedAt") else None
    code = int(terminated.get("exitCode", 0))
    signal = terminated.get("signal") or (code - 128 if 128 < code < 160 else None)
    return Exit(status=None if signal else code, signal=signal, at=at)


def restart_at(container: Container) -> datetime | None:
    """When the kubelet tries again, where it says so."""
    said = _BACK_OFF.search(container.message)
    if said is None or container.ended is None or container.ended.at is None:
        return None
    parts = re.findall(r"([\d.]+)([hms])", said["time"])
    return container.ended.at + timedelta(seconds=sum(float(n) * _UNIT_S[unit] for n, unit in parts))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
