"""A follower sees everything once and in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from libs.common.events.envelope import Aggregate, select
from libs.common.log.port import CaughtUp
from tests.support.event_logs import AnyLog
from tests.support.names import CAUSE, claim, name
from tests.support.polling import PATIENCE_S


async def take(events: AsyncIterator, number: int) -> list:
    """The next `number` of a follower's items: sequences, and CaughtUp as it is."""
    taken = []
    async with asyncio.timeout(PATIENCE_S):
        while len(taken) < number:
            item = await anext(events)
            taken.append(item if isinstance(item, CaughtUp) else item.sequence)
    return taken


class TestFollow:
    async def test_of_an_empty_log_waits_for_news(self, any_log: AnyLog):
        async with aclosing(any_log.follow(select(kind="name"))) as events:
            assert await take(events, 1) == [CaughtUp(0)]
            await any_log.append([claim(name("a"))], heads={}, cause=CAUSE)
            assert await take(events, 1) == [1]

    async def test_starts_with_the_newest_of_each_subject_and_goes_on_with_all(self, any_log: AnyLog):
        result = await any_log.append(
            [claim(name("a")), claim(name("b")), claim(name("a"))], heads={}, cause=CAUSE
        )
        async with aclosing(any_log.follow(select(kind="name"))) as events:
            assert await take(events, 3) == [2, 3, CaughtUp(3)]
            result = await any_log.append([claim(name("a"))], heads=result.heads, cause=CAUSE)
            await any_log.append([claim(name("a"))], heads=result.heads, cause=CAUSE)
            assert await take(events, 2) == [4, 5]

    async def test_resumes_after_a_sequence_with_every_event(self, any_log: AnyLog):
        result = await any_log.append([claim(name("a")) for _ in range(4)], heads={}, cause=CAUSE)
        async with aclosing(any_log.follow(select(kind="name"), after=1)) as events:
            assert await take(events, 4) == [2, 3, 4, CaughtUp(4)]
            await any_log.append([claim(name("a"))], heads=result.heads, cause=CAUSE)
            assert await take(events, 1) == [5]

    async def test_resumes_at_the_end(self, any_log: AnyLog):
        result = await any_log.append([claim(name("a")) for _ in range(2)], heads={}, cause=CAUSE)
        async with aclosing(any_log.follow(select(kind="name"), after=2)) as events:
            assert await take(events, 1) == [CaughtUp(2)]
            await any_log.append([claim(name("a"))], heads=result.heads, cause=CAUSE)
            assert await take(events, 1) == [3]

    async def test_sees_only_what_its_filters_select(self, any_log: AnyLog):
        await any_log.append([claim(name("a")), claim(name("b")), claim(name("c"))], heads={}, cause=CAUSE)
        async with aclosing(any_log.follow(name("a").filter, select(aggregate_id="c"))) as events:
            assert await take(events, 3) == [1, 3, CaughtUp(3)]
            await any_log.append(
                [claim(name("d")), claim(Aggregate("p", "project", "c"))], heads={}, cause=CAUSE
            )
            assert await take(events, 1) == [5]

    async def test_filters_may_overlap_in_part(self, any_log: AnyLog):
        await any_log.append(
            [claim(name("a", "p")), claim(name("b")), claim(Aggregate("p", "project", "p"))],
            heads={},
            cause=CAUSE,
        )
        async with aclosing(any_log.follow(select(kind="project"), select(project_id="p"))) as events:
            assert await take(events, 3) == [1, 3, CaughtUp(3)]

    async def test_is_caught_up_although_its_filters_select_nothing(self, any_log: AnyLog):
        await any_log.append([claim(name("a"))], heads={}, cause=CAUSE)
        async with aclosing(any_log.follow(select(kind="project"))) as events:
            assert await take(events, 1) == [CaughtUp(1)]

    async def test_while_others_write_gives_all_after_its_start_once_and_in_order(self, any_log: AnyLog):
        has_begun, is_followed = asyncio.Event(), asyncio.Event()

        async def write() -> None:
            heads: dict = {}
            for number in range(300):
                heads |= (
                    await any_log.append([claim(name(f"n{number % 7}"))], heads=heads, cause=CAUSE)
                ).heads
                if number == 50:
                    has_begun.set()
                if number == 200:
                    await is_followed.wait()

        writing = asyncio.create_task(write())
        await has_begun.wait()
        first = 20
        seen = []
        async with asyncio.timeout(PATIENCE_S), aclosing(any_log.follow(">", after=first)) as events:
            async for item in events:
                if not isinstance(item, CaughtUp):
                    seen.append(item.sequence)
                    is_followed.set()
                if seen and seen[-1] == 300:
                    break
        await writing
        assert seen == list(range(first + 1, 301))

    async def test_followers_are_independent(self, any_log: AnyLog):
        async with aclosing(any_log.follow(">")) as one, aclosing(any_log.follow(">")) as other:
            assert await take(one, 1) == [CaughtUp(0)]
            await any_log.append([claim(name("a"))], heads={}, cause=CAUSE)
            assert await take(one, 1) == [1]
            assert await take(other, 2) == [1, CaughtUp(1)]
