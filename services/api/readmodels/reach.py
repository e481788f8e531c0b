"""How far something is that follows the log, and who waits until it is further."""

import asyncio

from services.api.readmodels.not_shown import NotVisible


class Reach:
    """sequence: of the last event that it has come to. Whoever waits wakes once, when it is there."""

    def __init__(self, name: str = "reads show") -> None:
        """name: what the sequence is of, for whoever waited for too long."""
        self.sequence = 0
        self._name = name
        self._waiting: dict[asyncio.Future[None], int] = {}

    def advance(self, sequence: int) -> None:
        self.sequence = max(self.sequence, sequence)
        for reached, wanted in self._waiting.items():
            if wanted <= self.sequence and not reached.done():
                reached.set_result(None)

    async def wait_for(self, sequence: int, *, timeout_s: float) -> None:
        """Raises NotVisible when the time is up."""
        if sequence <= self.sequence:
            return
        reached = asyncio.get_running_loop().create_future()
        self._waiting[reached] = sequence
        try:
            async with asyncio.timeout(timeout_s):
                await reached
        except TimeoutError as error:
            raise NotVisible(f"{self._name} {self.sequence}, not yet {sequence}") from error
        finally:
            del self._waiting[reached]
