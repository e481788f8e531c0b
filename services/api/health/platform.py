"""Whether the whole platform is ready, judged from heartbeats. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from libs.common.bus.heartbeat import Heartbeat
from libs.common.services import SERVICES

PATIENCE = timedelta(seconds=15)
"""A service that has not moved for so long is not ready."""

A_MOMENT = timedelta(seconds=3)
"""A copy beats every 2 s."""


@dataclass(frozen=True, slots=True)
class Heard:
    beat: Heartbeat
    received_at: datetime
    """When it was received, by the api's clock, the one that judges."""


@dataclass(slots=True)
class Heartbeats:
    """The newest heartbeat of each copy of each service.

    The newest speaks for its service. Where one copy leads and others stand by, one that was heard a moment
    ago and is ready speaks for those that are not.
    """

    by_copy: dict[str, dict[int, Heard]] = field(default_factory=dict)
    """By service, then by process."""

    def take(self, beat: Heartbeat, now: datetime) -> None:
        """A copy that was not heard for `PATIENCE` is forgotten when another one speaks."""
        others = self.by_copy.get(beat.service, {}).items()
        living = {pid: one for pid, one in others if now - one.received_at < PATIENCE}
        self.by_copy[beat.service] = {**living, beat.pid: Heard(beat, now)}

    @property
    def by_service(self) -> dict[str, Heard]:
        return {service: _speaker(copies.values()) for service, copies in self.by_copy.items()}

    def copies(self, now: datetime) -> dict[str, list[dict[str, Any]]]:
        """Of the services of which one copy leads, those that were heard lately, by their processes."""
        found = {
            service: [
                {"pid": pid, "standing": one.beat.standing, "isReady": one.beat.is_ready}
                for pid, one in sorted(copies.items())
                if one.beat.standing and now - one.received_at < PATIENCE
            ]
            for service, copies in self.by_copy.items()
        }
        return {service: copies for service, copies in found.items() if copies}


def _speaker(copies: Collection[Heard]) -> Heard:
    newest = max(copies, key=lambda one: one.received_at)
    ready = [
        one
        for one in copies
        if one.beat.is_ready and one.beat.standing and newest.received_at - one.received_at < A_MOMENT
    ]
    return newest if newest.beat.is_ready or not ready else ready[0]


@dataclass(frozen=True, slots=True)
class LogView:
    """What the log and the api itself show."""

    answers: bool
    """Whether the log could be asked."""
    problem: str = ""
    """Why appends fail or are refused; empty when they are taken."""
    due_sequence: int = 0
    """The sequence of the newest spec that was registered longer ago than `PATIENCE`."""
    is_projected: bool = True
    """Whether the api has taken in all that is older than that."""


def not_ready(heard: Mapping[str, Heard], log: LogView, *, now: datetime) -> list[str]:
    """Who is not ready, in a fixed order; empty when everybody is.

    | what                                                       | named   |
    |------------------------------------------------------------|---------|
    | the log cannot be asked                                    | log     |
    | appends fail, or are refused for lack of room              | log     |
    | no heartbeat, or none for 15 s                             | service |
    | the heartbeat says that it is not ready                    | service |
    | it has not taken in a spec registered more than 15 s ago   | service |
    | the router does not know of an Envoy that has acknowledged | envoy   |
    """
    names = ["log"] if log.problem or not log.answers else []
    for service in SERVICES:
        last = heard.get(service)
        is_ready = (
            last is not None
            and now - last.received_at < PATIENCE
            and last.beat.is_ready
            and last.beat.applied_sequence >= log.due_sequence
            and (log.is_projected or service != "api")
        )
        if not is_ready:
            names.append(service)
    router = heard.get("router")
    if router is None or not envoy_acknowledged(router.beat.detail):
        names.append("envoy")
    return names


def problems(heard: Mapping[str, Heard], log: LogView) -> dict[str, str]:
    """Why the log does not take appends, and what the services and Envoy say about why they are not ready."""
    router = heard.get("router")
    said = {
        "log": log.problem,
        **{name: heard[name].beat.problem for name in SERVICES if name in heard},
        "envoy": str(router.beat.detail.get("envoy_problem") or "") if router else "",
    }
    return {name: problem for name, problem in said.items() if problem}


def processes(heard: Mapping[str, Heard]) -> dict[str, int]:
    """The pid of each service that was heard: whoever starts processes knows whether that one still runs."""
    return {name: heard[name].beat.pid for name in SERVICES if name in heard}


def notices(heard: Mapping[str, Heard]) -> list[str]:
    """What the services want their operator to know while they do their work."""
    return [
        notice for name in SERVICES if name in heard for notice in heard[name].beat.detail.get("notices", ())
    ]


def set_aside(heard: Mapping[str, Heard]) -> dict[str, list[dict[str, Any]]]:
    """What each service works without, with the reason; services without any are left out."""
    return {
        name: [one.model_dump(mode="json") for one in heard[name].beat.set_aside]
        for name in SERVICES
        if name in heard and heard[name].beat.set_aside
    }


MOST_IN_HEADER = 10


def set_aside_header(heard: Mapping[str, Heard]) -> str | None:
    """`health=<id>,<id>; router=<id>`: each service with the ids it works without, at most ten of each, and
    how many more there are; None where nothing is set aside."""
    parts = []
    for service, found in set_aside(heard).items():
        subjects = list(dict.fromkeys(str(one["subject"]) for one in found))
        more = len(subjects) - MOST_IN_HEADER
        named = [*subjects[:MOST_IN_HEADER], *([f"+{more}"] if more > 0 else [])]
        parts.append(f"{service}={','.join(named)}")
    return "; ".join(parts) or None


def envoy_acknowledged(detail: Mapping[str, Any]) -> bool:
    """Whether the router's heartbeat says that an Envoy is connected and has taken its configuration."""
    return detail.get("envoy_acknowledged") is True
