"""Whoever waits until reads show something wakes when they do, and no sooner."""

import asyncio

import pytest

from services.api.readmodels.not_shown import NotVisible
from services.api.readmodels.reach import Reach
from tests.support.polling import let_others_run


async def test_each_wakes_when_what_he_waits_for_is_shown():
    reach, woken = Reach(), []

    async def wait(sequence: int) -> None:
        await reach.wait_for(sequence, timeout_s=60)
        woken.append(sequence)

    waiting = asyncio.gather(wait(3), wait(1), wait(2), wait(2))
    await let_others_run()
    for sequence, expected in ((1, [1]), (2, [1, 2, 2]), (1, [1, 2, 2]), (9, [1, 2, 2, 3])):
        reach.advance(sequence)
        await let_others_run()
        assert woken == expected
    await waiting
    assert reach.sequence == 9


async def test_what_is_shown_is_not_waited_for():
    reach = Reach()
    reach.advance(5)
    await reach.wait_for(5, timeout_s=0)


async def test_whoever_waits_in_vain_is_told_how_far_reads_are():
    reach = Reach()
    reach.advance(5)
    with pytest.raises(NotVisible, match="reads show 5, not yet 6"):
        await reach.wait_for(6, timeout_s=0)
    reach.advance(6)


async def test_whoever_leaves_is_not_in_the_way():
    reach = Reach()
    leaving, staying = (asyncio.create_task(reach.wait_for(1, timeout_s=60)) for _ in range(2))
    await let_others_run()
    leaving.cancel()
    reach.advance(1)
    await staying
    with pytest.raises(asyncio.CancelledError):
        await leaving
