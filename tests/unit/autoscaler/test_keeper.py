"""What is kept of the reasoning in the bucket: when it is written, and what is read of it again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from libs.common.autoscaling.kept import KeptReasoning
from libs.common.bus.entries import Entry, MemoryEntries
from libs.common.errors import LogUnavailable
from services.autoscaler.keeper import RETRY_S, Keeper
from tests.support.polling import eventually, let_others_run
from tests.support.scaling_story import CPUS, Story, by_cpu

NAME = "d1"


class Counted(MemoryEntries):
    """How often it was written, and how often it was asked."""

    written = 0
    asked = 0
    is_away = False

    async def put(self, key: str, data: bytes, *, after: int) -> int:
        sequence = await super().put(key, data, after=after)
        self.written += 1
        return sequence

    async def get_many(self, keys):
        self.asked += 1
        if self.is_away:
            raise LogUnavailable("the bucket is gone")
        return await super().get_many(keys)


@asynccontextmanager
async def keeping(entries: MemoryEntries, **how) -> AsyncIterator[Keeper]:
    keeper = Keeper(entries, **{"ticks": lambda: 0.0, **how})
    running = asyncio.ensure_future(keeper.run())
    try:
        yield keeper
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


CALM, BUSY = 0.5 * CPUS, 1.9 * CPUS
"""Cores in use, for which one replica and four are enough."""


def outcome_at(cpu: float):
    """With one replica."""
    story = Story(by_cpu(50))
    story.pass_time(15)
    story.use(cpu=cpu)
    return story.knowledge.outcome(story.name, now=story.now, wall=story.wall)


async def kept(entries: MemoryEntries) -> int | None:
    """The number that an explanation of it would name."""
    present = await KeptReasoning(entries).present(NAME)
    return None if present is None else present.replicas


async def test_what_means_the_same_is_written_once():
    entries = Counted()
    async with keeping(entries) as keeper:
        keeper.note(NAME, outcome_at(CALM))
        await eventually(lambda: entries.written == 1)
        keeper.note(NAME, outcome_at(CALM))
        await let_others_run(50)
        assert entries.written == 1
        keeper.note(NAME, outcome_at(BUSY))
        await eventually(lambda: entries.written == 2)


async def test_who_leads_again_writes_what_another_copy_wrote_over_meanwhile():
    """Else the explanation would stay the other copy's for as long as the reasoning means the same."""
    entries = Counted()
    async with keeping(entries) as first, keeping(entries) as second:
        first.note(NAME, outcome_at(CALM))
        await eventually(lambda: entries.written == 1)
        second.note(NAME, outcome_at(BUSY))
        await eventually(lambda: entries.written == 2)
        assert await kept(entries) == 4
        first.note(NAME, outcome_at(CALM))
        await let_others_run(50)
        assert entries.written == 2
        first.start_anew()
        first.note(NAME, outcome_at(CALM))
        await eventually(lambda: entries.written == 3)
        assert await kept(entries) == 1


async def test_who_leads_again_goes_on_from_what_the_other_copy_remembered():
    entries = Counted()
    async with keeping(entries) as first, keeping(entries) as second:
        first.note(NAME, outcome_at(CALM))
        await eventually(lambda: entries.written == 1)
        busy = outcome_at(BUSY)
        second.note(NAME, busy)
        await eventually(lambda: entries.written == 2)
        first.start_anew()
        stretch_id, memory = (await first.read([NAME]))[NAME]
        assert stretch_id == busy.situation.stretch_id
        assert {one.replicas for one in memory.recommendations} == {1, 4}
        # And it knows by now which writing it replaces.
        first.note(NAME, outcome_at(CALM))
        await eventually(lambda: entries.written == 3)


async def test_all_are_read_with_one_question_and_each_is_its_own():
    entries = Counted()
    async with keeping(entries) as keeper:
        for number in range(30):
            keeper.note(f"d{number}", outcome_at(CALM if number % 2 else BUSY))
        await eventually(lambda: entries.written == 30)
        names = [f"d{number}" for number in range(40)]
        entries.asked = 0
        found = await keeper.read(names)
        assert entries.asked == 1
        assert found.keys() == set(names[:30])
        most = {name: max(one.replicas for one in kept.recommendations) for name, (_, kept) in found.items()}
        assert most == {name: 1 if int(name[1:]) % 2 else 4 for name in names[:30]}


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b'{"present": {"spec_id": 1}, "memory": {}}'])
async def test_what_is_not_understood_is_as_if_it_were_not_there_and_is_written_over(data):
    entries = Counted()
    await entries.put(NAME, data, after=0)
    async with keeping(entries) as keeper:
        assert await keeper.read([NAME, "d2"]) == {}
        keeper.note(NAME, outcome_at(CALM))
        await eventually(lambda: entries.written == 2)
        assert await kept(entries) == 1


async def test_a_bucket_that_does_not_answer_is_left_alone_for_a_while():
    entries, now = Counted(), [0.0]
    keeper = Keeper(entries, ticks=lambda: now[0])
    entries.is_away = True
    assert await keeper.read([NAME]) == {}
    assert await keeper.read([NAME]) == {}
    assert entries.asked == 1
    entries.is_away, now[0] = False, RETRY_S
    entries._entries[NAME] = Entry(1, b"not one")
    assert await keeper.read([NAME]) == {}
    assert entries.asked == 2
