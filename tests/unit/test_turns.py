"""Long work lets others have their turn."""

import asyncio

from libs.common.turns import Turns
from tests.support.polling import let_others_run


async def test_others_have_their_turn_when_ones_own_has_lasted() -> None:
    now = 0.0
    turns = Turns(turn_s=2.0, ticks=lambda: now)
    had: list[float] = []

    async def other() -> None:
        while True:
            had.append(now)
            await let_others_run(1)

    running = asyncio.create_task(other())
    for _ in range(6):
        now += 1.0
        await turns.give()
    running.cancel()
    assert had == [2.0, 4.0, 6.0]
