"""A lease that a test gives and takes."""

import asyncio


class Led:
    """Leads when the test says so."""

    def __init__(self) -> None:
        self.is_held = False
        self._moved = asyncio.Event()

    def lead(self, is_held: bool) -> None:
        self.is_held = is_held
        self._moved.set()

    async def until(self, is_held: bool) -> None:
        while self.is_held != is_held:
            self._moved.clear()
            await self._moved.wait()
