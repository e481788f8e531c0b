"""Keeps the log writable: the reserve in step with the room, and NATS started again when it cannot write."""

import asyncio
from collections.abc import Callable

from libs.common.bus.server_health import ServerHealth
from libs.common.clock import Ticks
from libs.common.disk import MIB, Room
from libs.common.errors import LogUnavailable
from libs.supervisor.console import Console
from libs.supervisor.healing import NEEDED, Healing
from libs.supervisor.reserve_file import Reserve

INTERVAL_S = 1.0
_ASK_EVERY = 4
"""Looks at the room between two questions to NATS."""


class DiskWatch:
    def __init__(self, reserve: Reserve, console: Console, health: ServerHealth, *, ticks: Ticks) -> None:
        self._reserve = reserve
        self._console = console
        self._health = health
        self._ticks = ticks
        self._healing = Healing()
        self._said = ""
        self._complaint = ""

    async def run(self, restart_nats: Callable[[str], None]) -> None:
        """Until it is cancelled. restart_nats: called with the reason, once there is room."""
        checks = 0
        while True:
            self.settle()
            if checks % _ASK_EVERY == 0:
                await self._check(restart_nats)
            checks += 1
            await asyncio.sleep(INTERVAL_S)

    async def wait_for_room(self) -> None:
        """Return when NATS may be started."""
        self.settle()
        is_said = False
        while (room := self._room()) is not None and room.free < NEEDED:
            if not is_said:
                is_said = True
                self._console.say(f"nats waits for room under the log: {room}, needed {NEEDED // MIB} MiB")
            await asyncio.sleep(INTERVAL_S)
            self.settle()

    def settle(self) -> None:
        try:
            done = self._reserve.settle()
        except OSError as error:
            done = f"the reserve of the log cannot be kept: {error}"
        if done and done != self._said:  # once, not at every look
            self._console.say(done)
        self._said = done or self._said

    def _room(self) -> Room | None:
        """None when it cannot be told."""
        try:
            return self._reserve.room()
        except OSError:
            return None

    async def _check(self, restart_nats: Callable[[str], None]) -> None:
        try:
            complaint = await self._health.complaint()
        except LogUnavailable:  # it is being started, or has ended: its keeper knows
            return
        if complaint and complaint != self._complaint:
            self._console.say(f"nats cannot do its work: {complaint}")
        self._complaint = complaint
        if (room := self._room()) is None:
            return
        is_due, self._healing = self._healing.checked(complaint, room, now=self._ticks())
        if is_due:
            restart_nats(f"starting nats again, so that it writes again: {room} under the log")
