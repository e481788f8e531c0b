"""What the kubelet says of a pod by Events, where its status has no word for it. Pure.

Events are best effort: whatever is concluded from one is a reason or a message, never whether a replica is
ready. A message holds no name that is made up for each try, no time and no port of the moment, since each
would be news again and again.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from libs.common.events.replica import ProbeKind, ReplicaReason

JSON = Mapping[str, Any]
_NOTHING: Final[JSON] = MappingProxyType({})

PULLING: Final = "Pulling"
CANNOT_START: Final = frozenset(
    {"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "NetworkNotReady"}
)
_UNHEALTHY: Final = "Unhealthy"
_KILLING: Final = "Killing"

_UNUSED: Final = (
    "Scheduled",
    "Pulled",
    "Created",
    "Started",
    "BackOff",
    "Failed",
    "FailedScheduling",
    "SandboxChanged",
    "Preempted",
    "TaintManagerEviction",
)
FIELDS: Final = ",".join(("involvedObject.kind=Pod", *(f"reason!={reason}" for reason in _UNUSED)))
"""Which events are watched. A selector names one reason at most, so those that are frequent are left out."""

TOGETHER: Final = timedelta(seconds=150)
"""Failures of one kind that were last seen within this time of each other go on beside each other: the
kubelet tries again at least every two minutes."""

_PROBE: Final = re.compile(
    r"(?P<kind>Startup|Readiness|Liveness) probe (?:failed|errored)[^:]*:\s*(?P<said>.*)", re.DOTALL
)
_CONDEMNED: Final = re.compile(r"failed (?P<kind>startup|liveness) probe")
_STATUS: Final = re.compile(r"statuscode: (?P<status>\d+)")
_SAID: Final = (
    ("connection refused", "connection refused"),
    ("connection reset", "connection reset"),
    ("no route to host", "no route to host"),
    ("deadline exceeded", "no answer in time"),
    ("timeout", "no answer in time"),
    ("timed out", "no answer in time"),
    ("EOF", "connection closed without an answer"),
)
_MADE_UP: Final = re.compile(r'"?\b(?=[0-9a-f-]*\d)[0-9a-f]{8,}(?:-[0-9a-f]+)*\b"?')
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class Saying:
    """One event. How often it was said, and when last, are no news."""

    name: str
    version: int = field(compare=False)
    pod: str
    pod_uid: str
    reason: str
    message: str
    first_at: datetime
    last_at: datetime = field(compare=False)


def parse(raw: JSON) -> Saying:
    """From the object of the API: of the core group, or with the fields that the newer one has."""
    metadata, about = raw["metadata"], raw.get("involvedObject") or raw.get("regarding") or _NOTHING
    made = metadata["creationTimestamp"]
    first = raw.get("firstTimestamp") or raw.get("eventTime") or made
    series = raw.get("series") or _NOTHING
    last = series.get("lastObservedTime") or raw.get("lastTimestamp") or raw.get("eventTime") or first
    return Saying(
        name=metadata["name"],
        version=int(metadata["resourceVersion"]),
        pod=about.get("name", ""),
        pod_uid=about.get("uid", ""),
        reason=raw.get("reason") or "",
        message=raw.get("message") or raw.get("note") or "",
        first_at=datetime.fromisoformat(first),
        last_at=datetime.fromisoformat(last),
    )


def why_it_waits(said: Iterable[Saying], image: str) -> tuple[ReplicaReason, str] | None:
    """Of a pod whose container waits without saying why; None where no event does either.

    | the newest of them       | reason         | message                                               |
    |--------------------------|----------------|-------------------------------------------------------|
    | Pulling                  | `pulling`      | the image                                             |
    | FailedMount and its like | `cannot_start` | the first of those of this reason that go on, since a |
    |                          |                | mount that fails is told in two ways by turns         |
    """
    about = [one for one in said if one.reason == PULLING or one.reason in CANNOT_START]
    if not about:
        return None
    newest = max(about, key=lambda one: (one.last_at, one.version))
    if newest.reason == PULLING:
        return ReplicaReason.PULLING, f"pulling {image}"
    going_on = [
        one for one in about if one.reason == newest.reason and newest.last_at - one.last_at <= TOGETHER
    ]
    first = min(going_on, key=lambda one: (one.first_at, one.name))
    return ReplicaReason.CANNOT_START, steady(first.message) or first.reason


def failed_check(
    said: Sequence[Saying],
    since: datetime | None,
    *,
    kinds: Sequence[ProbeKind] = (ProbeKind.READINESS, ProbeKind.STARTUP),
) -> str | None:
    """What the last check that failed has said, such as `readiness check: status 503`; None where no event
    since then tells. kinds: of which checks, the first that there is."""
    for kind in kinds:
        found = [
            (one, probe)
            for one in said
            if one.reason == _UNHEALTHY
            and (since is None or one.last_at >= since)
            and (probe := _PROBE.match(one.message)) is not None
            and probe["kind"].lower() == kind
        ]
        if found:
            _, newest = max(found, key=lambda each: (each[0].last_at, each[0].version))
            return f"{kind} check: {_outcome(newest['said'])}"
    return None


def condemned(said: Sequence[Saying], started: datetime | None, ended: datetime | None) -> str | None:
    """Which check made the kubelet end the container that ran between these times; None where none did."""
    if started is None or ended is None:
        return None
    for one in said:
        killed = _CONDEMNED.search(one.message) if one.reason == _KILLING else None
        if killed is not None and started <= one.last_at <= ended + timedelta(seconds=1):
            kind = ProbeKind(killed["kind"])
            return failed_check(said, started, kinds=(kind,)) or f"{kind} check: failed too often"
    return None


def _outcome(said: str) -> str:
    if (status := _STATUS.search(said)) is not None:
        return f"status {status['status']}"
    return next((word for sign, word in _SAID if sign in said), steady(said) or "failed")


def steady(message: str) -> str:
    """Without what is made up for each try."""
    return " ".join(_MADE_UP.sub("…", message).split())[:_LONGEST]
