"""Events that have come from the log and that reads do not show yet: up to where, and whose they are."""

import asyncio
from collections.abc import Sequence

from libs.common.events.envelope import Recorded
from libs.common.log.port import CaughtUp
from services.api.readmodels.not_shown import NotVisible


class Coming:
    """What the projector fetches goes through here before it is taken in."""

    def __init__(self) -> None:
        self._received = 0
        self._newest: dict[str, int] = {}
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def note(self, item: Recorded | CaughtUp) -> None:
        """It has come, and so has everything before it."""
        if not isinstance(item, Recorded):
            return
        self._newest[item.aggregate.id] = item.sequence
        self._reach(item.sequence)

    def drop(self, events: Sequence[Recorded]) -> None:
        """Reads show these."""
        for event in events:
            if self._newest.get(event.aggregate.id) == event.sequence:
                del self._newest[event.aggregate.id]

    def shown(self, sequence: int) -> None:
        """Reads show everything up to it, whether it came through here or not."""
        if sequence > self._received:
            self._reach(sequence)

    async def newest(self, subject: str, log_end: int, *, within_s: float) -> int:
        """The last event of this deployment or project that reads do not show, once everything up to
        `log_end` has come; 0 for none. Raises NotVisible."""
        if log_end > self._received:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((log_end, future))
            try:
                async with asyncio.timeout(within_s):
                    await future
            except TimeoutError as error:
                raise NotVisible(f"the log is read up to {self._received}, not yet {log_end}") from error
            finally:
                future.cancel()
        return self._newest.get(subject, 0)

    def _reach(self, sequence: int) -> None:
        self._received = sequence
        if self._waiting:
            for wanted, future in self._waiting:
                if wanted <= sequence and not future.done():
                    future.set_result(None)
            self._waiting = [each for each in self._waiting if not each[1].done()]
