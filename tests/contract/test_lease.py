"""A lease has one holder, over the fake entries and over JetStream; lengths of time are the test's own."""

import asyncio
import json

import pytest

from libs.common.bus import subjects
from libs.common.bus.entries import MemoryEntries
from libs.common.bus.jetstream_entries import JetStreamEntries
from libs.common.bus.lease import GIVEN_UP_S, LENGTH_S, LOOKED_S, RENEWED_S, Lease
from libs.common.errors import LogUnavailable
from tests.support.gauges import shown
from tests.support.polling import PATIENCE_S, eventually


class Manual:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class NobodyExpects(Exception):
    pass


class Unheard:
    """Entries whose answers are lost: what is written is there all the same, unless nothing gets through."""

    def __init__(self, entries) -> None:
        self._entries = entries
        self.is_away = False
        self.is_broken = False
        self.loses_answers = False

    async def get(self, key):
        if self.is_away:
            raise LogUnavailable("away")
        if self.is_broken:
            raise NobodyExpects
        return await self._entries.get(key)

    async def put(self, key, data, *, after):
        if self.is_away:
            raise LogUnavailable("away")
        sequence = await self._entries.put(key, data, after=after)
        if self.loses_answers:
            raise LogUnavailable("unknown")
        return sequence


@pytest.fixture(params=["memory", "jetstream"])
def entries(request):
    if request.param == "memory":
        return MemoryEntries()
    client = request.getfixturevalue("log_client")
    return JetStreamEntries(client, stream=subjects.LEASES_STREAM, root=subjects.LEASES_ROOT)


@pytest.fixture
def clock():
    return Manual()


async def pass_time(clock, seconds, *leases):
    """Each copy looks as often as it would."""
    until = clock.now + seconds
    while clock.now < until:
        clock.now = min(until, clock.now + LOOKED_S)
        for lease in leases:
            await lease.claim()
            assert sum(one.is_held for one in leases) <= 1


async def test_the_first_gets_it_and_keeps_it(entries, clock):
    first, second = (Lease(entries, "a", ticks=clock) for _ in range(2))
    await first.claim()
    assert first.is_held
    await pass_time(clock, 30, first, second)
    assert first.is_held
    assert not second.is_held


async def test_another_takes_over_within_eight_seconds_of_its_holders_death(entries, clock):
    first, second = (Lease(entries, "a", ticks=clock) for _ in range(2))
    await pass_time(clock, 10, first, second)
    await pass_time(clock, RENEWED_S, second)  # The first was last heard just before its next writing.
    died_at = clock.now - RENEWED_S
    while not second.is_held:
        await pass_time(clock, LOOKED_S, second)
    assert clock.now - died_at <= 8


async def test_a_holder_that_cannot_write_gives_it_up_before_another_takes_it(entries, clock):
    cut_off = Unheard(entries)
    first, second = Lease(cut_off, "a", ticks=clock), Lease(entries, "a", ticks=clock)
    await pass_time(clock, 10, first, second)
    cut_off.is_away = True
    began = clock.now
    while first.is_held:
        clock.now += LOOKED_S
        with pytest.raises(LogUnavailable):
            await first.claim()
        await second.claim()
        assert not second.is_held
    assert clock.now - began <= LENGTH_S - GIVEN_UP_S
    await pass_time(clock, LENGTH_S, second)
    assert second.is_held
    cut_off.is_away = False
    await pass_time(clock, 10, first, second)
    assert (first.is_held, second.is_held) == (False, True)


async def test_a_holder_that_was_paused_finds_that_it_holds_nothing(entries, clock):
    first, second = (Lease(entries, "a", ticks=clock) for _ in range(2))
    await pass_time(clock, 10, first, second)
    await pass_time(clock, 10, second)
    assert second.is_held
    assert not first.is_held
    await first.claim()
    assert not first.is_held


async def test_an_answer_that_is_lost_costs_no_lease(entries, clock):
    deaf = Unheard(entries)
    first, second = Lease(deaf, "a", ticks=clock), Lease(entries, "a", ticks=clock)
    await pass_time(clock, 2, first, second)
    deaf.loses_answers = True
    clock.now += RENEWED_S
    with pytest.raises(LogUnavailable):
        await first.claim()
    deaf.loses_answers = False
    await first.claim()
    await pass_time(clock, 10, first, second)
    assert first.is_held


async def test_one_that_is_let_go_is_free_at_once(entries, clock):
    first, second = (Lease(entries, "a", ticks=clock) for _ in range(2))
    await pass_time(clock, 2, first, second)
    await first.release()
    assert not first.is_held
    await second.claim()
    assert second.is_held


async def test_each_name_is_a_lease_of_its_own(entries, clock):
    first, other = Lease(entries, "a", ticks=clock), Lease(entries, "b", ticks=clock)
    await first.claim()
    await other.claim()
    assert first.is_held
    assert other.is_held


async def test_an_entry_that_is_not_understood_is_held_by_somebody_and_runs_out(entries, clock):
    await entries.put("a", b"\xff", after=0)
    lease = Lease(entries, "a", ticks=clock)
    await pass_time(clock, LENGTH_S, lease)
    assert not lease.is_held
    await pass_time(clock, 1, lease)
    assert lease.is_held


async def test_an_entry_that_is_gone_is_free(entries, clock):
    lease = Lease(entries, "a", ticks=clock)
    await lease.claim()
    assert json.loads((await entries.get("a")).data) == {"holder": lease.holder}


async def test_many_at_once_have_one_holder(entries, clock):
    copies = [Lease(entries, "a", ticks=clock) for _ in range(10)]
    await asyncio.gather(*(copy.claim() for copy in copies))
    assert sum(copy.is_held for copy in copies) == 1


async def test_kept_for_as_long_as_a_block_runs_and_told(entries, clock):
    told = []
    lease = Lease(entries, "a", ticks=clock, on_change=told.append)
    async with lease.kept():
        await eventually(lambda: lease.is_held)
        assert told == [True]
    assert not lease.is_held
    assert told == [True, False]
    assert json.loads((await entries.get("a")).data) == {"holder": ""}


async def test_whoever_relies_on_a_lease_ends_with_what_keeps_it(entries, clock):
    """Else it would believe for ever what nobody looks after: that it leads, or that another one does."""
    broken = Unheard(entries)
    lease = Lease(broken, "a", ticks=clock)
    await lease.claim()
    clock.now += LENGTH_S
    broken.is_broken = True
    with pytest.raises(NobodyExpects):
        async with asyncio.timeout(PATIENCE_S) as patience, lease.kept():
            await asyncio.Event().wait()
    assert not patience.expired()


async def test_how_a_block_ends_is_told_as_it_is(entries, clock):
    lease = Lease(entries, "a", ticks=clock)

    async def fail():
        await lease.until(True)
        raise NobodyExpects

    with pytest.raises(NobodyExpects):
        async with lease.kept():
            await fail()
    assert json.loads((await entries.get("a")).data) == {"holder": ""}

    async def block():
        async with lease.kept():
            await asyncio.Event().wait()

    running = asyncio.ensure_future(block())
    await lease.until(True)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert json.loads((await entries.get("a")).data) == {"holder": ""}


async def test_who_watches_the_platform_sees_whether_this_copy_leads(entries, clock):
    def leads() -> float:
        return shown("specstream.lease.held")["autoscaler",]

    lease = Lease(entries, "autoscaler", ticks=clock)
    assert leads() == 0
    await lease.claim()
    assert leads() == 1
    clock.now += LENGTH_S
    assert leads() == 0
