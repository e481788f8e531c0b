"""Many writers at once leave each aggregate a linear history."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import AppendConflict
from libs.common.events.envelope import Aggregate, Draft
from libs.common.log.chain import envelope_hash
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Head
from tests.support.event_logs import AnyLog, sequences
from tests.support.names import CAUSE, claim, name, release


class TestConcurrency:
    async def test_of_64_appends_on_one_head_one_wins(self, any_log: AnyLog):
        outcomes = await asyncio.gather(
            *(any_log.append([claim(name("a"), str(n))], heads={}, cause=CAUSE) for n in range(64)),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AppendConflict"] * 63 + [
            "Appended"
        ]
        assert await sequences(any_log) == [1]

    async def test_of_50_first_claims_of_a_name_one_makes_a_deployment(self, any_log: AnyLog):
        def create(number: int) -> list[Draft]:
            deployment = Aggregate("default", "deployment", f"d{number}")
            return [claim(name("web"), f"d{number}"), claim(deployment), release(deployment)]

        outcomes = await asyncio.gather(
            *(any_log.append(create(n), heads={}, cause=CAUSE) for n in range(50)), return_exceptions=True
        )
        won = [outcome for outcome in outcomes if not isinstance(outcome, AppendConflict)]
        assert len(won) == 1
        assert await sequences(any_log) == [1, 2, 3]

    async def test_64_writers_that_try_again_leave_a_linear_history(self, any_log: AnyLog):
        async def write(number: int) -> None:
            while True:
                loaded = await any_log.load(name("a").filter)
                try:
                    await any_log.append([claim(name("a"), str(number))], heads=loaded.heads, cause=CAUSE)
                except AppendConflict:
                    continue
                return

        await asyncio.gather(*(write(n) for n in range(64)))
        events = [event async for event in any_log.read(name("a").filter)]
        assert sorted(int(event.fact.owner_id) for event in events) == list(range(64))
        raw = [event async for event in any_log.read_raw()]
        for before, event in pairwise(raw):
            assert event.headers["ce-hash"] == envelope_hash(
                before.headers["ce-hash"], event.subject, event.headers, event.data
            )


class TestTwoWriters:
    @given(steps=st.lists(st.tuples(st.sampled_from([0, 1]), st.booleans(), st.integers(1, 3)), max_size=12))
    async def test_any_interleaving_leaves_a_linear_history(self, steps):
        """Each step: which writer, whether it loads again first, and how many events it appends."""
        log = MemoryLog()
        heads: list[dict] = [{}, {}]
        accepted: list[str] = []
        for writer, loads_first, number in steps:
            if loads_first:
                heads[writer] = dict((await log.load(name("a").filter)).heads)
            drafts = [claim(name("a"), str(writer)) for _ in range(number)]
            is_current = heads[writer].get(name("a"), Head()).sequence == await log.last_sequence()
            try:
                heads[writer] = dict((await log.append(drafts, heads=heads[writer], cause=CAUSE)).heads)
            except AppendConflict:
                assert not is_current
            else:
                assert is_current
                accepted += [draft.event_id for draft in drafts]
        assert [event.event_id async for event in log.read(">")] == accepted
