"""How far reads are, and who waits until they are further."""

import asyncio

from services.api.readmodels.not_shown import NotVisible


class Reach:
    """sequence: of the last event that reads show. Whoever waits wakes once, when that is shown."""

    def __init__(self) -> None:
        self.sequence = 0
        self._waiting: dict[asyncio.Future[None], int] = {}

    def advance(self, sequence: int) -> None:
        self.sequence = max(self.sequence, sequence)
        for shown, wanted in self._waiting.items():
            if wanted <= self.sequence and not shown.done():
                shown.set_result(None)

    async def wait_for(self, sequence: int, *, timeout_s: float) -> None:
        """Raises NotVisible when the time is up."""
        if sequence <= self.sequence:
            return
        shown = asyncio.get_running_loop().create_future()
        self._waiting[shown] = sequence
        try:
            async with asyncio.timeout(timeout_s):
                await shown
        except TimeoutError as error:
            raise NotVisible(f"reads show {self.sequence}, not yet {sequence}") from error
        finally:
            del self._waiting[shown]
