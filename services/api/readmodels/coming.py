"""Events that have come from the log and that reads do not show yet: up to where, and whose they are."""

from collections.abc import Sequence

from libs.common.events.envelope import Recorded
from libs.common.log.port import CaughtUp
from services.api.readmodels.reach import Reach


class Coming:
    """What the projector fetches goes through here before it is taken in."""

    def __init__(self) -> None:
        self._received = Reach("the log is read up to")
        self._newest: dict[str, int] = {}

    def note(self, item: Recorded | CaughtUp) -> None:
        """It has come, and so has everything before it."""
        if isinstance(item, Recorded):
            self._newest[item.aggregate.id] = item.sequence
            self._received.advance(item.sequence)

    def drop(self, events: Sequence[Recorded]) -> None:
        """Reads show these."""
        for event in events:
            if self._newest.get(event.aggregate.id) == event.sequence:
                del self._newest[event.aggregate.id]

    def shown(self, sequence: int) -> None:
        """Reads show everything up to it, whether it came through here or not."""
        self._received.advance(sequence)

    async def newest(self, subject: str, log_end: int, *, within_s: float) -> int:
        """The last event of this deployment or project that reads do not show, once everything up to
        `log_end` has come; 0 for none. Raises NotVisible."""
        await self._received.wait_for(log_end, timeout_s=within_s)
        return self._newest.get(subject, 0)
