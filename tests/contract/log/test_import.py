"""An import is whole or not there, and the log itself says which, over both adapters."""

import asyncio
from contextlib import aclosing

import pytest

from libs.common.errors import AppendConflict, Conflict, LogImporting
from libs.common.events.envelope import Position, Recorded
from libs.common.log.export import export, import_
from libs.common.log.memory import MemoryLog
from libs.common.log.port import CaughtUp, Importing, Stored
from tests.support.event_logs import AnyLog
from tests.support.names import CAUSE, claim, name, release
from tests.support.polling import PATIENCE_S


@pytest.fixture
async def original() -> MemoryLog:
    """Six events of three aggregates."""
    log = MemoryLog()
    for key in "abc":
        heads = (await log.append([claim(name(key))], heads={}, cause=CAUSE)).heads
        await log.append([release(name(key))], heads=heads, cause=CAUSE)
    return log


@pytest.fixture
async def events(original: MemoryLog) -> list[Stored]:
    return [event async for event in original.read_raw()]


async def after_the_importing(following) -> list:
    """What a follower gives up to its next CaughtUp, without the news of how far the import is."""
    given = []
    async with asyncio.timeout(PATIENCE_S):
        async for item in following:
            if not isinstance(item, Importing):
                given.append(item.sequence if isinstance(item, Recorded) else item)
            if isinstance(item, CaughtUp):
                return given
    raise AssertionError("it ended")


async def the_first(following) -> object:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(following)


class TestAPartOfAnImport:
    async def test_is_told_by_the_log_itself(self, any_log: AnyLog, events: list[Stored]):
        assert await any_log.importing() is None
        await any_log.restore(events[:2], until=6)
        assert await any_log.importing() == Importing(2, 6)
        await any_log.restore(events[2:5], until=6)
        assert str(await any_log.importing()) == "importing 5 of 6"
        await any_log.restore(events[5:], until=6)
        assert await any_log.importing() is None

    async def test_is_nothing_to_decide_from(self, any_log: AnyLog, events: list[Stored]):
        await any_log.restore(events[:3], until=6)
        for filters in ((name("a").filter,), (name("nobody").filter,), (">",)):
            with pytest.raises(LogImporting, match="3 of 6"):
                await any_log.load(*filters)
        assert [e async for e in any_log.read(">")] == []
        assert [e async for e in any_log.read(">", until=2)] == []
        assert await any_log.sequence_at(events[5].time) == 0

    async def test_is_still_there_to_be_verified(self, any_log: AnyLog, events: list[Stored]):
        await any_log.restore(events[:3], until=6)
        assert [e async for e in any_log.read_raw()] == events[:3]
        assert await any_log.last_sequence() == 3

    async def test_takes_nothing_else(self, any_log: AnyLog, events: list[Stored]):
        await any_log.restore(events[:3], until=6)
        for drafts in ([claim(name("z"))], [claim(name("y")), claim(name("x"))]):
            with pytest.raises(LogImporting, match="3 of 6"):
                await any_log.append(drafts, heads={}, cause=CAUSE)
        await any_log.restore(events[3:], until=6)
        appended = await any_log.append([claim(name("z"))], heads={}, cause=CAUSE)
        assert appended.sequence == 7

    async def test_is_given_to_no_follower(self, any_log: AnyLog, events: list[Stored]):
        await any_log.restore(events[:2], until=6)
        async with aclosing(any_log.follow(">")) as newest, aclosing(any_log.follow(">", after=0)) as every:
            assert await the_first(newest) == Importing(2, 6)
            assert await the_first(every) == Importing(2, 6)
            await any_log.restore(events[2:], until=6)
            assert await after_the_importing(newest) == [*range(1, 7), CaughtUp(6)]
            assert await after_the_importing(every) == [*range(1, 7), CaughtUp(6)]

    async def test_is_nothing_to_an_empty_logs_follower(self, any_log: AnyLog, events: list[Stored]):
        async with aclosing(any_log.follow(">")) as following:
            assert await the_first(following) == CaughtUp(0)
            waiting = asyncio.ensure_future(the_first(following))
            await any_log.restore(events[:2], until=6)
            assert isinstance(await waiting, Importing)
            await any_log.restore(events[2:], until=6)
            assert await after_the_importing(following) == [*range(1, 7), CaughtUp(6)]
            await any_log.append([claim(name("z"))], heads={}, cause=CAUSE)
            news = await the_first(following)
            assert isinstance(news, Recorded)
            assert news.sequence == 7

    async def test_comes_as_a_beginning_also_when_it_is_whole_at_once(
        self, any_log: AnyLog, events: list[Stored]
    ):
        async with aclosing(any_log.follow(">")) as following:
            assert await the_first(following) == CaughtUp(0)
            await any_log.restore(events, until=6)
            assert isinstance(await the_first(following), Importing)
            assert await after_the_importing(following) == [*range(1, 7), CaughtUp(6)]


class TestAnImportThatBrokeOff:
    @pytest.mark.parametrize("stored", [1, 3, 5, 6])
    async def test_goes_on_with_the_same_export(
        self, any_log: AnyLog, original: MemoryLog, events: list[Stored], stored: int
    ):
        await any_log.restore(events[:stored], until=6)
        if stored < 6:
            assert await import_(any_log, export(original)) == 6
        assert [e async for e in any_log.read_raw()] == events
        assert [line async for line in export(any_log)] == [line async for line in export(original)]

    async def test_refuses_another_export(self, any_log: AnyLog, events: list[Stored]):
        await any_log.restore(events[:3], until=6)
        other = MemoryLog()
        for key in "defghi":
            await other.append([claim(name(key))], heads={}, cause=CAUSE)
        with pytest.raises(Conflict, match="not the beginning"):
            await import_(any_log, export(other))
        assert await any_log.last_sequence() == 3

    async def test_refuses_a_shorter_export(self, any_log: AnyLog, events: list[Stored]):
        await any_log.restore(events[:3], until=6)
        other = MemoryLog()
        await other.append([claim(name("a"))], heads={}, cause=CAUSE)
        with pytest.raises(Conflict, match="3 events already"):
            await import_(any_log, export(other))


class TestAppendsIntoAnEmptyLog:
    async def test_and_an_import_never_mix(self, any_log: AnyLog, events: list[Stored]):
        """Whichever is first, the other is refused, or comes after all of it."""

        async def append(key: str) -> int:
            try:
                return (await any_log.append([claim(name(key))], heads={}, cause=CAUSE)).sequence
            except LogImporting:
                return 0

        async def restore() -> bool:
            try:
                await any_log.restore(events[:3], until=6)
                await any_log.restore(events[3:], until=6)
            except AppendConflict:
                return False
            return True

        *appended, is_imported = await asyncio.gather(*(append(f"k{n}") for n in range(8)), restore())
        if is_imported:
            assert all(sequence == 0 or sequence > 6 for sequence in appended)
            assert [e async for e in any_log.read_raw(until=6)] == events
        else:
            assert sorted(appended) == list(range(1, 9))

    async def test_do_not_refuse_each_other(self, any_log: AnyLog):
        appended = await asyncio.gather(
            *(any_log.append([claim(name(f"k{n}"))], heads={}, cause=CAUSE) for n in range(8))
        )
        assert sorted(one.sequence for one in appended) == list(range(1, 9))


class TestIdentity:
    async def test_a_log_keeps_its_own(self, any_log: AnyLog):
        identity = await any_log.identity()
        assert identity
        await any_log.append([claim(name("a"))], heads={}, cause=CAUSE)
        assert await any_log.identity() == identity
        assert await MemoryLog().identity() != identity

    async def test_a_log_knows_which_events_are_its_own(self, any_log: AnyLog):
        appended = await any_log.append([claim(name("a"))], heads={}, cause=CAUSE)
        identity, hash_ = await any_log.identity(), appended.heads[name("a")].hash
        assert await any_log.has(Position(0))
        assert await any_log.has(Position(1))
        assert await any_log.has(Position(1, identity, hash_))
        assert await any_log.has(Position(1, hash=hash_))
        assert not await any_log.has(Position(1, identity, "another"))
        assert not await any_log.has(Position(1, "another", hash_))
        assert not await any_log.has(Position(0, "another"))
        assert not await any_log.has(Position(2, identity, hash_))
