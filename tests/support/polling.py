"""Waiting for something to become true, with a deadline instead of a fixed sleep."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar

from libs.common.clock import monotonic

Found = TypeVar("Found")

PATIENCE_S = 120.0
"""For anything that takes a moment on a machine with nothing else to do. It ends only a wait that is in vain,
so it is long: other work may keep the machine busy."""


async def eventually(
    condition: Callable[[], object | Awaitable[object]],
    *,
    within_s: float = PATIENCE_S,
    every_s: float = 0.01,
    because: str | Callable[[], object] = "the condition never came true",
) -> object:
    """The first true value of `condition`, a plain or an async function; AssertionError after `within_s`.
    because: may be asked for in the end."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        value = condition()
        if isawaitable(value):
            value = await value
        if value:
            return value
        if loop.time() > deadline:
            raise AssertionError(f"{because() if callable(because) else because} (waited {within_s} s)")
        await asyncio.sleep(every_s)


def waited_for(
    condition: Callable[[], Found],
    *,
    within_s: float = PATIENCE_S,
    every_s: float = 0.02,
    because: str | Callable[[], object] = "the condition never came true",
) -> Found:
    """As `eventually`, where there is no event loop. because: may be asked for in the end."""
    deadline = monotonic() + within_s
    while not (value := condition()):
        if monotonic() > deadline:
            raise AssertionError(f"{because() if callable(because) else because} (waited {within_s} s)")
        time.sleep(every_s)
    return value


async def let_others_run(turns: int = 10) -> None:
    """Give every task that can go on this many turns of the event loop; no time has to pass."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def let_time_pass(seconds: float) -> None:
    """Only where the time itself is the trial: how long something is held, or when it is struck."""
    await asyncio.sleep(seconds)


def stand_still(seconds: float) -> None:
    """The whole process does, as one that is paused: nobody else has a turn meanwhile."""
    time.sleep(seconds)
