"""The copies of each service: which were heard, which one speaks for its service, which are missing. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from libs.common.bus.heartbeat import Heartbeat, Standing
from libs.common.services import COPIED, ROUTER, copy_name

PATIENCE: Final = timedelta(seconds=15)
"""A service that has not moved for so long is not ready."""

A_MOMENT: Final = timedelta(seconds=3)
"""A copy beats every 2 s."""

REMEMBERED_FOR: Final = timedelta(hours=1)
"""So long a copy is named that was not stopped in order and says nothing any more."""

SILENT: Final = "silent"
"""The standing of a copy of which nothing is heard."""


@dataclass(frozen=True, slots=True)
class Heard:
    beat: Heartbeat
    received_at: datetime
    """When it was received, by the api's clock, the one that judges."""


@dataclass(slots=True)
class Heartbeats:
    """The newest heartbeat of each copy of each service.

    Of a service of which one copy leads that one speaks, whatever it says, while it was heard a moment ago.
    While none leads, a copy that is ready speaks for those that are not; else the one that was heard last.
    """

    expected: int = 1
    """How many copies there are to be of each service that may have several."""
    routers: tuple[str, ...] = (ROUTER,)
    """The names of the routers that there are to be."""
    by_copy: dict[str, dict[int, Heard]] = field(default_factory=dict)
    """By service, then by the copy's number."""
    led_at: dict[str, datetime] = field(default_factory=dict)
    """By service: when one that leads was heard last."""

    def take(self, beat: Heartbeat, now: datetime) -> None:
        before = self.by_copy.get(beat.service, {})
        copies = {number: one for number, one in before.items() if now - one.received_at < REMEMBERED_FOR} | {
            beat.copy_number: Heard(beat, now)
        }
        if beat.is_last and len(copies) > 1:
            del copies[beat.copy_number]
        self.by_copy[beat.service] = copies
        if beat.standing == Standing.LEADING and not beat.is_last:
            self.led_at[beat.service] = now

    @property
    def by_service(self) -> dict[str, Heard]:
        """Who speaks for each service. What any of its copies has set aside is set aside by the service. Each
        router speaks for itself, by its own name."""
        found: dict[str, Heard] = {}
        for service, copies in self.by_copy.items():
            if service == ROUTER:
                found |= {copy_name(service, number): one for number, one in copies.items()}
            else:
                found[service] = _heard_of(tuple(copies.values()))
        return found

    @property
    def processes(self) -> dict[str, int]:
        """The pid of each copy that was heard, by its name."""
        return {
            copy_name(service, number): one.beat.pid
            for service, copies in self.by_copy.items()
            for number, one in sorted(copies.items())
        }

    def copies(self, now: datetime) -> dict[str, list[dict[str, Any]]]:
        """Of the services of which one copy leads, every copy, by its number."""
        return {
            service: [
                {
                    "number": number,
                    "pid": one.beat.pid,
                    "standing": _standing(one, copies.values(), now),
                    "isReady": one.beat.is_ready and _standing(one, copies.values(), now) != SILENT,
                }
                for number, one in sorted(copies.items())
            ]
            for service, copies in self.by_copy.items()
            if any(one.beat.standing for one in copies.values())
        }

    def unled(self, now: datetime) -> frozenset[str]:
        """Services of which one copy has to lead, and none was heard that does, for as long as a takeover and
        a heartbeat may take."""
        return frozenset(
            service
            for service, speaker in self.by_service.items()
            if speaker.beat.standing and not _was_led(self.led_at.get(service), now)
        )

    def missing(self, now: datetime) -> list[str]:
        """A sentence for each copy that there should be and is not, while its service has another one."""
        found = []
        for service in COPIED:
            heard = self.by_copy.get(service, {})
            if not any(_is_heard(one, now) for one in heard.values()):
                continue  # the whole service is named
            for number in sorted({*range(1, self.expected + 1), *heard}):
                one, name = heard.get(number), copy_name(service, number)
                if one is None:
                    found.append(f"the copy {name} was not heard")
                elif not _is_heard(one, now):
                    ago = round((now - one.received_at).total_seconds())
                    found.append(f"the copy {name} (pid {one.beat.pid}) was not heard for {ago} s")
        return found


def _is_heard(one: Heard, now: datetime) -> bool:
    return now - one.received_at < PATIENCE


def _standing(one: Heard, copies: Collection[Heard], now: datetime) -> str:
    """One that was heard to lead and has been taken the place of since is dead or paused."""
    is_old = one.beat.standing == Standing.LEADING and any(
        other.beat.standing == Standing.LEADING and other.received_at > one.received_at for other in copies
    )
    return SILENT if is_old or not _is_heard(one, now) else one.beat.standing


def _was_led(at: datetime | None, now: datetime) -> bool:
    return at is not None and now - at < PATIENCE


def _heard_of(copies: Collection[Heard]) -> Heard:
    speaker = _speaker(copies)
    living = [one for one in copies if _is_heard(one, speaker.received_at)]
    aside = tuple(each for one in living for each in one.beat.set_aside)
    return replace(speaker, beat=speaker.beat.model_copy(update={"set_aside": aside}))


def _speaker(copies: Collection[Heard]) -> Heard:
    newest = max(copies, key=lambda one: one.received_at)
    lately = [one for one in copies if newest.received_at - one.received_at < A_MOMENT]
    leading = [one for one in lately if one.beat.standing == Standing.LEADING]
    if leading:
        return max(leading, key=lambda one: one.received_at)
    ready = [one for one in lately if one.beat.is_ready and one.beat.standing]
    return newest if newest.beat.is_ready or not ready else ready[0]
