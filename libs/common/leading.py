"""Work that only one of several copies of a service does: for as long as it leads."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol


class Leading(Protocol):
    """Whether this copy leads, such as by a lease."""

    @property
    def is_held(self) -> bool:
        """Now. A process may be paused right after it has looked: correctness never rests on this."""
        ...

    async def until(self, is_held: bool) -> None:
        """Returns when it is so."""
        ...


class _Always:
    @property
    def is_held(self) -> bool:
        return True

    async def until(self, is_held: bool) -> None:
        if not is_held:
            await asyncio.get_running_loop().create_future()


ALWAYS: Final[Leading] = _Always()
"""Of a service that has one copy."""


async def while_leading(leading: Leading, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do `work`, begun anew each time this copy comes to lead, and cancelled when it leads no more.

    Never returns. Raises what the work raises.
    """
    while True:
        await leading.until(True)
        working = asyncio.ensure_future(work())
        lost = asyncio.ensure_future(leading.until(False))
        try:
            await asyncio.wait({working, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            if not working.done():
                working.cancel()
            await asyncio.gather(working, lost, return_exceptions=True)
        if not working.cancelled():
            working.result()
