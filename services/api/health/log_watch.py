"""Whether the log takes appends: looked at all the time, so that health tells before somebody's change fails.

| what is looked at                     | what only that shows                                               |
|---------------------------------------|--------------------------------------------------------------------|
| a real write to a stream of its own   | that the broker cannot write now, whatever the cause               |
| the broker's own health               | that EVENTS refuses since a write failed, also after there is room |
| the room under the log and its reserve | that it will soon be full: what asks for more is refused before   |
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from libs.common.errors import LogUnavailable, Refused

logger = structlog.get_logger()

INTERVAL_S = 4.0
"""From one look to the next while nothing is wrong. A look costs the broker a dozen files and a few waits for
the disk."""
AGAIN_S = 1.0
"""And while something is, so that two looks that each waited their 2 s for an answer are over within 10 s."""

MISSED = 2
"""So many checks in a row without an answer count: one may be lost with a broker that starts again."""


class NoRoom(Refused):
    """The log has no room for more. Nothing was appended; what ends something is still taken.

    Refused, not waited for: a command that waited would hold up the deletes behind it, which make room.
    """

    code = "INSUFFICIENT_STORAGE"
    status = 507


def _nothing() -> str:
    return ""


@dataclass(slots=True)
class LogCondition:
    shortage: Callable[[], str] = _nothing
    """Why nothing new is accepted for lack of room; empty while there is room."""
    refused: str = ""
    """What the broker says against writing; empty while it says nothing."""
    unanswered: str = ""
    """Why it cannot be told, after `MISSED` checks; empty while it can."""
    _missed: int = field(default=0)

    @property
    def problem(self) -> str:
        """Why appends fail, or are refused; empty when they are taken."""
        short = self.shortage()
        if self.refused:
            return f"the log cannot be written: {self.refused}" + (f"; {short}" if short else "")
        return short or self.unanswered

    @property
    def look_in_s(self) -> float:
        """How long the next look may wait."""
        return AGAIN_S if self.refused or self._missed else INTERVAL_S

    def check_room(self) -> None:
        """Before whatever makes the platform run more. Raises NoRoom.

        A broker that does not answer is no reason: it may be back before the append's own deadline.
        """
        if self.refused or self.shortage():
            raise NoRoom(f"Nothing was changed: {self.problem}")

    def checked(self, *, refused: str) -> None:
        if refused != self.refused:
            if refused:
                logger.error("the log cannot be written", reason=refused)
            else:
                logger.info("the log can be written again")
        self.refused, self.unanswered, self._missed = refused, "", 0

    def missed(self, why: str) -> None:
        """What was refused before stays so until the broker says otherwise."""
        self._missed += 1
        if self._missed >= MISSED:
            self.unanswered = why


async def watch(condition: LogCondition, checks: tuple[Callable[[], Awaitable[str]], ...]) -> None:
    """Never returns. checks: each gives a reason against writing, or raises LogUnavailable."""
    while True:
        results = await asyncio.gather(*(check() for check in checks), return_exceptions=True)
        reasons = [result for result in results if isinstance(result, str) and result]
        silent = [result for result in results if isinstance(result, LogUnavailable)]
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, LogUnavailable):
                raise result
        if reasons or not silent:
            condition.checked(refused="; ".join(reasons))
        else:
            condition.missed(str(silent[0]))
        await asyncio.sleep(condition.look_in_s)
