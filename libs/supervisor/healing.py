"""When a NATS that complains is started again: once its disk has room, and ever more seldom. Pure.

A server that failed to write once refuses that stream until it is started again.
"""

from dataclasses import dataclass

from libs.common.back_off import BackOff
from libs.common.disk import MIB, Room

NEEDED = 4 * MIB
"""Room without which NATS is not started: recovering a batch that a full disk cut short needs some, and a
server that is started twice on a full disk leaves half of that batch in the log for ever."""

SEEN = 2
"""Looks in a row that have to show the complaint: one may fall into a start."""

PAUSES = BackOff(10.0, 300.0)
"""Between two starts again of a server that stays unsound."""
SOUND_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Healing:
    """seen: checks in a row with a complaint. restarts: since the server was last sound for a while.

    last_at: of the newest restart, in ticks; None when there was none.
    """

    seen: int = 0
    restarts: int = 0
    last_at: float | None = None

    def checked(self, complaint: str, room: Room, *, now: float) -> "tuple[bool, Healing]":
        """Whether to start it again now, and the state after it.

        | complaint | room      | seen before | since the last restart        | start again |
        |-----------|-----------|-------------|-------------------------------|-------------|
        | none      | -         | -           | -                             | no          |
        | there     | too small | -           | -                             | no          |
        | there     | enough    | 0           | -                             | no          |
        | there     | enough    | 1 and more  | below 10 s * 2^(restarts - 1) | no          |
        | there     | enough    | 1 and more  | more, or there was none       | yes         |
        """
        since = None if self.last_at is None else now - self.last_at
        if not complaint:
            is_sound = since is None or since >= SOUND_AFTER_S
            return False, Healing() if is_sound else Healing(0, self.restarts, self.last_at)
        seen = self.seen + 1
        is_due = since is None or since >= PAUSES.pause_s(self.restarts)
        if room.free >= NEEDED and seen >= SEEN and is_due:
            return True, Healing(0, self.restarts + 1, now)
        return False, Healing(seen, self.restarts, self.last_at)
