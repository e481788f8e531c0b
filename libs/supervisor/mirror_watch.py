"""Notices that the copy of the events is gone that other systems read: it can be made again at any time."""

import asyncio
from collections.abc import Awaitable, Callable

from libs.common.bus.server_health import ServerHealth
from libs.common.errors import LogUnavailable

INTERVAL_S = 5.0


async def watch(health: ServerHealth, make_again: Callable[[str], Awaitable[None]]) -> None:
    """Until it is cancelled. make_again: called with the reason.

    A server that does not answer is being started, and the mirror is looked after then anyway.
    """
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            complaint = await health.complaint_of_the_mirror()
        except LogUnavailable:
            continue
        if complaint:
            await make_again(complaint)
