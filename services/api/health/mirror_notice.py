"""What the operator has to know of the copy of the events that other systems read."""

import asyncio
from collections.abc import Awaitable, Callable

from libs.common.errors import LogUnavailable
from libs.common.runtime import Progress

INTERVAL_S = 5.0


async def watch(progress: Progress, complaint: Callable[[], Awaitable[str]]) -> None:
    """Never returns. complaint: what is wrong with it, or empty; raises LogUnavailable."""
    while True:
        try:
            said = await complaint()
        except LogUnavailable:
            said = ""  # that the log is away is told elsewhere
        progress.detail["notices"] = [f"other systems cannot read the events: {said}"] if said else []
        await asyncio.sleep(INTERVAL_S)
