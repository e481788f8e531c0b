"""What is understood of a subject whose newest message is not: the newest one before it that is.

Whoever takes in all events leaves out what is not understood. Whoever reads the newest of each subject does
the same only where what that hides is found: otherwise one message of a later version, or of somebody who
appends no events, would take away what was so before.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from libs.common.events import catalogue
from libs.common.events.envelope import Recorded
from libs.common.log import wire
from libs.common.log.jetstream.direct_get import DirectGet

_MOST_REMEMBERED: Final = 10_000


class Hidden:
    """What is found stays so: nothing is stored behind an event later."""

    def __init__(self, direct: DirectGet) -> None:
        self._direct = direct
        self._before: OrderedDict[int, int] = OrderedDict()
        """Of an event that is not understood: the sequence of the newest before it that is; 0 for none."""

    async def among(self, events: Sequence[Recorded]) -> list[Recorded]:
        """What these, the newest of their subjects, hide. Raises LogUnavailable."""
        hiding = [event for event in events if event.fact is None and event.type in catalogue.CATALOGUE]
        found = [await self._behind(event) for event in hiding]
        return [event for event in found if event is not None]

    async def _behind(self, event: Recorded) -> Recorded | None:
        sequence = self._before.get(event.sequence, event.sequence - 1)
        while sequence:
            messages = await self._direct.newest_until((event.subject,), sequence)
            if not messages:
                break
            before = wire.to_recorded(*messages[-1])
            if before.fact is not None:
                self._remember(event.sequence, before.sequence)
                return before
            sequence = before.sequence - 1
        self._remember(event.sequence, 0)
        return None

    def _remember(self, sequence: int, before: int) -> None:
        self._before[sequence] = before
        if len(self._before) > _MOST_REMEMBERED:
            self._before.popitem(last=False)
