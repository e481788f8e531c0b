"""What the event log promises, held by both adapters. Expectations are written by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.clock import utc_now
from libs.common.errors import AppendConflict
from libs.common.events.envelope import GENESIS, Aggregate, Cause, Draft, chain_hash, select
from libs.common.events.name import NameClaimed, NameReleased
from libs.common.events.project import ProjectCreated, ProjectDeleted
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.memory import MemoryLog
from libs.common.log.port import CaughtUp, Guard, Head
from tests.support.polling import eventually

CAUSE = Cause("key:default", correlation_id="c0ffee", causation_id="beef", traceparent="00-aa-bb-01")

Log = JetStreamLog | MemoryLog


@pytest.fixture(params=["memory", "jetstream"])
def log(request: pytest.FixtureRequest) -> Log:
    if request.param == "memory":
        return MemoryLog()
    return request.getfixturevalue("jetstream_log")


def name(key: str, project_id: str = "default") -> Aggregate:
    return Aggregate(project_id, "name", key)


def project(project_id: str) -> Aggregate:
    return Aggregate(project_id, "project", project_id)


def claim(aggregate: Aggregate, owner_id: str = "d1", **options: str) -> Draft:
    return Draft(aggregate, NameClaimed(parent="default", name="web", owner_id=owner_id), **options)


def release(aggregate: Aggregate, owner_id: str = "d1") -> Draft:
    return Draft(aggregate, NameReleased(parent="default", name="web", owner_id=owner_id))


async def everything(log: Log, *filters: str, after: int = 0, until: int | None = None) -> list[int]:
    return [event.sequence async for event in log.read(*filters or (">",), after=after, until=until)]


async def take(events: AsyncIterator, number: int) -> list:
    """The next `number` of a follower's items: sequences, and CaughtUp as it is."""
    taken = []
    async with asyncio.timeout(15):
        while len(taken) < number:
            item = await anext(events)
            taken.append(item if isinstance(item, CaughtUp) else item.sequence)
    return taken


class TestAppend:
    async def test_stores_what_it_was_given(self, log: Log):
        before = utc_now() - timedelta(seconds=1)
        result = await log.append([claim(name("a"), event_id="e1")], heads={}, cause=CAUSE)
        [event] = (await log.load(name("a").filter)).events

        assert (event.sequence, event.aggregate, event.type, event.event_id) == (
            1,
            name("a"),
            "NameClaimed",
            "e1",
        )
        assert event.fact == NameClaimed(parent="default", name="web", owner_id="d1")
        assert event.data == {"parent": "default", "name": "web", "owner_id": "d1"}
        assert event.cause == CAUSE
        assert before < event.time < utc_now() + timedelta(seconds=1)
        assert event.subject == "events.default.name.a.NameClaimed"
        assert result.sequence == 1
        assert result.heads == {name("a"): Head(1, event.hash)}

    async def test_leaves_out_what_the_cause_does_not_have(self, log: Log):
        await log.append([claim(name("a"))], heads={}, cause=Cause("key:default", "c1"))
        [event] = (await log.load(name("a").filter)).events
        assert event.cause == Cause("key:default", "c1", None, None)

    async def test_chains_each_event_to_the_one_before_it_in_its_aggregate(self, log: Log):
        first = await log.append([claim(name("a"), event_id="e1")], heads={}, cause=CAUSE)
        await log.append([claim(name("b"), event_id="e2")], heads={}, cause=CAUSE)
        await log.append(
            [claim(name("a"), "d2", event_id="e3"), claim(name("a"), "d3", event_id="e4")],
            heads=first.heads,
            cause=CAUSE,
        )
        raw = {event.headers["ce-id"]: event async for event in log.read_raw()}
        for event_id, previous in (("e1", GENESIS), ("e2", GENESIS), ("e3", "e1"), ("e4", "e3")):
            event = raw[event_id]
            before = raw[previous].headers["ce-hash"] if previous else GENESIS
            assert event.headers["ce-hash"] == chain_hash(
                before, event.subject, event_id, "NameClaimed", event.data
            )

    async def test_heads_from_an_append_and_from_a_load_are_the_same(self, log: Log):
        result = await log.append(
            [claim(name("a")), release(name("a")), claim(name("b"))], heads={}, cause=CAUSE
        )
        assert dict((await log.load(select(kind="name"))).heads) == dict(result.heads)

    @pytest.mark.parametrize(
        "heads",
        [
            pytest.param({}, id="a head that says there are no events"),
            pytest.param({name("a"): Head(1, "x")}, id="an older head"),
            pytest.param({name("a"): Head(3, "x")}, id="a head from the future"),
        ],
    )
    async def test_refuses(self, log: Log, heads):
        first = await log.append([claim(name("a"))], heads={}, cause=CAUSE)
        await log.append([release(name("a"))], heads=first.heads, cause=CAUSE)
        with pytest.raises(AppendConflict):
            await log.append([claim(name("a"))], heads=heads, cause=CAUSE)
        assert await everything(log) == [1, 2]

    async def test_aggregates_do_not_hinder_each_other(self, log: Log):
        await log.append([claim(name("a"))], heads={}, cause=CAUSE)
        result = await log.append([claim(name("b"))], heads={}, cause=CAUSE)
        assert result.sequence == 2

    async def test_an_aggregate_is_its_whole_key(self, log: Log):
        await log.append([claim(name("a", "p1"))], heads={}, cause=CAUSE)
        await log.append([claim(name("a", "p2"))], heads={}, cause=CAUSE)
        await log.append([Draft(project("a"), ProjectCreated(name="a"))], heads={}, cause=CAUSE)
        assert await log.last_sequence() == 3

    async def test_the_same_draft_again_is_the_same_event(self, log: Log):
        draft = claim(name("a"))
        first = await log.append([draft], heads={}, cause=CAUSE)
        await log.append([release(name("a"))], heads=first.heads, cause=CAUSE)
        assert await log.append([draft], heads={}, cause=CAUSE) == first
        assert await everything(log) == [1, 2]

    async def test_the_same_draft_again_on_a_newer_head_is_the_same_event(self, log: Log):
        draft = claim(name("a"))
        first = await log.append([draft], heads={}, cause=CAUSE)
        assert await log.append([draft], heads=first.heads, cause=CAUSE) == first
        assert await everything(log) == [1]

    async def test_the_same_batch_again_is_the_same_events(self, log: Log):
        drafts = [claim(name("a")), release(name("a")), claim(name("b"))]
        first = await log.append(drafts, heads={}, cause=CAUSE)
        await log.append([claim(name("a"))], heads=first.heads, cause=CAUSE)
        assert await log.append(drafts, heads={}, cause=CAUSE) == first
        assert await log.append(drafts, heads=first.heads | {name("a"): Head(4)}, cause=CAUSE) == first
        assert await everything(log) == [1, 2, 3, 4]

    async def test_refuses_an_event_id_that_another_event_has(self, log: Log):
        await log.append([claim(name("a"), event_id="e1")], heads={}, cause=CAUSE)
        with pytest.raises(ValueError, match="taken"):
            await log.append([claim(name("b"), event_id="e1")], heads={}, cause=CAUSE)
        with pytest.raises(ValueError, match="taken"):
            await log.append([claim(name("b")), claim(name("c"), event_id="e1")], heads={}, cause=CAUSE)
        assert await everything(log) == [1]

    async def test_refuses_a_fact_that_is_too_large_by_saying_so(self, jetstream_log: JetStreamLog):
        with pytest.raises(ValueError, match="more than the broker takes"):
            await jetstream_log.append([claim(name("a"), "x" * 2_000_000)], heads={}, cause=CAUSE)

    async def test_keeps_odd_text_as_it_is(self, log: Log):
        cause = Cause("command:Käse \u2603", "c1")
        await log.append([claim(name("a"), "a\u0000b\n\U0001f600")], heads={}, cause=cause)
        [event] = (await log.load(name("a").filter)).events
        assert event.fact == NameClaimed(parent="default", name="web", owner_id="a\u0000b\n\U0001f600")
        assert event.cause == cause

    async def test_a_cause_cannot_add_headers(self, log: Log):
        await log.append([claim(name("a"))], heads={}, cause=Cause("x\r\nNats-Rollup: all", "c1"))
        [event] = [event async for event in log.read_raw()]
        assert "Nats-Rollup" not in event.headers


class TestBatch:
    async def test_is_stored_in_order_and_without_gaps(self, log: Log):
        drafts = [claim(name("a")), claim(name("b")), release(name("a"))]
        result = await log.append(drafts, heads={}, cause=CAUSE)
        events = [(e.sequence, e.event_id) async for e in log.read(">")]
        assert events == [(place, draft.event_id) for place, draft in enumerate(drafts, 1)]
        assert {aggregate: head.sequence for aggregate, head in result.heads.items()} == {
            name("a"): 3,
            name("b"): 2,
        }
        assert result.sequence == 3

    async def test_stores_nothing_when_one_aggregate_has_moved_on(self, log: Log):
        await log.append([claim(name("b"))], heads={}, cause=CAUSE)
        for drafts in (
            [claim(name("a")), claim(name("b"))],
            [claim(name("b")), claim(name("a"))],
            [claim(name("a")), claim(name("c")), claim(name("b")), claim(name("c"))],
        ):
            with pytest.raises(AppendConflict):
                await log.append(drafts, heads={}, cause=CAUSE)
        assert await everything(log) == [1]

    async def test_takes_a_thousand_events(self, log: Log):
        result = await log.append([claim(name("a"), str(n)) for n in range(1000)], heads={}, cause=CAUSE)
        assert result.sequence == 1000
        assert await everything(log) == list(range(1, 1001))

    @pytest.mark.parametrize(
        ("drafts", "guards"),
        [
            pytest.param([], [], id="no drafts"),
            pytest.param([claim(name("a"), str(n)) for n in range(1001)], [], id="more than 1,000 drafts"),
            pytest.param(
                [claim(name("a"), event_id="x"), release(name("a")), claim(name("b"), event_id="x")],
                [],
                id="one id twice",
            ),
            pytest.param([claim(name("a"))], [Guard(name("b").filter, 0)], id="a guard on a single draft"),
            pytest.param(
                [claim(name("a")), claim(name("b"))],
                [Guard(name("c").filter, 0)],
                id="a guard with no draft to carry it",
            ),
            pytest.param(
                [claim(name("a")), release(name("a"))],
                [Guard(name("c").filter, 0), Guard(name("d").filter, 0)],
                id="two guards with one draft to carry them",
            ),
            pytest.param(
                [claim(name("a")), release(name("a"))],
                [Guard(name("a").filter, 0)],
                id="a guard on what is written",
            ),
        ],
    )
    async def test_refuses(self, log: Log, drafts, guards):
        with pytest.raises(ValueError):  # noqa: PT011 - each says something else
            await log.append(drafts, heads={}, cause=CAUSE, guards=guards)
        assert await log.last_sequence() == 0


class TestForeignGuard:
    """A name is claimed in a project that must still be there, in one append."""

    @staticmethod
    def drafts(key: str = "a") -> list[Draft]:
        return [claim(name(key)), claim(name(key), "d2")]

    async def test_holds_while_the_other_aggregate_is_as_it_was(self, log: Log):
        created = await log.append([Draft(project("p"), ProjectCreated(name="p"))], heads={}, cause=CAUSE)
        result = await log.append(
            self.drafts(), heads={}, cause=CAUSE, guards=[Guard(project("p").filter, created.sequence)]
        )
        assert result.sequence == 3

    async def test_refuses_once_the_other_aggregate_has_moved_on(self, log: Log):
        created = await log.append([Draft(project("p"), ProjectCreated(name="p"))], heads={}, cause=CAUSE)
        await log.append([Draft(project("p"), ProjectDeleted(name="p"))], heads=created.heads, cause=CAUSE)
        with pytest.raises(AppendConflict):
            await log.append(
                self.drafts(), heads={}, cause=CAUSE, guards=[Guard(project("p").filter, created.sequence)]
            )
        assert await log.last_sequence() == 2

    async def test_can_ask_that_nothing_is_there(self, log: Log):
        nothing = [Guard(select(project_id="q", kind="deployment"), 0)]
        await log.append(self.drafts("a"), heads={}, cause=CAUSE, guards=nothing)
        await log.append([claim(Aggregate("q", "deployment", "d9"))], heads={}, cause=CAUSE)
        with pytest.raises(AppendConflict):
            await log.append(self.drafts("b"), heads={}, cause=CAUSE, guards=nothing)

    async def test_never_skews(self, log: Log):
        """A claim and the deletion of its project race: whoever is second is refused."""
        for round_ in range(30):
            home = project(f"p{round_}")
            created = await log.append([Draft(home, ProjectCreated(name="p"))], heads={}, cause=CAUSE)
            owned = Aggregate(home.project_id, "name", "web")
            claimed, deleted = await asyncio.gather(
                log.append(
                    [claim(owned), claim(owned, "d2")],
                    heads={},
                    cause=CAUSE,
                    guards=[Guard(home.filter, created.sequence)],
                ),
                log.append(
                    [Draft(home, ProjectDeleted(name="p")), Draft(home, ProjectDeleted(name="p"))],
                    heads=created.heads,
                    cause=CAUSE,
                    guards=[Guard(owned.filter, 0)],
                ),
                return_exceptions=True,
            )
            outcomes = sorted(type(outcome).__name__ for outcome in (claimed, deleted))
            assert outcomes == ["AppendConflict", "Appended"]


class TestConcurrency:
    async def test_of_64_appends_on_one_head_one_wins(self, log: Log):
        outcomes = await asyncio.gather(
            *(log.append([claim(name("a"), str(n))], heads={}, cause=CAUSE) for n in range(64)),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AppendConflict"] * 63 + [
            "Appended"
        ]
        assert await everything(log) == [1]

    async def test_of_50_first_claims_of_a_name_one_makes_a_deployment(self, log: Log):
        def create(number: int) -> list[Draft]:
            deployment = Aggregate("default", "deployment", f"d{number}")
            return [claim(name("web"), f"d{number}"), claim(deployment), release(deployment)]

        outcomes = await asyncio.gather(
            *(log.append(create(n), heads={}, cause=CAUSE) for n in range(50)), return_exceptions=True
        )
        won = [outcome for outcome in outcomes if not isinstance(outcome, AppendConflict)]
        assert len(won) == 1
        assert await everything(log) == [1, 2, 3]

    async def test_64_writers_that_try_again_leave_a_linear_history(self, log: Log):
        async def write(number: int) -> None:
            while True:
                loaded = await log.load(name("a").filter)
                try:
                    await log.append([claim(name("a"), str(number))], heads=loaded.heads, cause=CAUSE)
                except AppendConflict:
                    continue
                return

        await asyncio.gather(*(write(n) for n in range(64)))
        events = [event async for event in log.read(name("a").filter)]
        assert sorted(int(event.fact.owner_id) for event in events) == list(range(64))
        raw = [event async for event in log.read_raw()]
        for before, event in pairwise(raw):
            assert event.headers["ce-hash"] == chain_hash(
                before.headers["ce-hash"], event.subject, event.headers["ce-id"], "NameClaimed", event.data
            )


class TestLoad:
    async def test_of_nothing_is_empty(self, log: Log):
        loaded = await log.load(name("a").filter)
        assert (loaded.events, loaded.sequence, dict(loaded.heads)) == ((), 0, {})

    async def test_gives_the_newest_of_each_subject_in_sequence_order(self, log: Log):
        await log.append(
            [claim(name("a")), release(name("a")), claim(name("b")), claim(name("a"), "d2")],
            heads={},
            cause=CAUSE,
        )
        loaded = await log.load(name("a").filter, name("b").filter)
        assert [event.sequence for event in loaded.events] == [2, 3, 4]
        assert loaded.sequence == 4
        assert {aggregate: head.sequence for aggregate, head in loaded.heads.items()} == {
            name("a"): 4,
            name("b"): 3,
        }
        assert [event.sequence for event in loaded.of(name("a"))] == [2, 4]

    async def test_gives_an_event_once_that_several_filters_select(self, log: Log):
        await log.append([claim(name("a")), claim(name("b"))], heads={}, cause=CAUSE)
        loaded = await log.load(name("a").filter, select(kind="name"), select(event_type="NameClaimed"))
        assert [event.sequence for event in loaded.events] == [1, 2]

    async def test_selects_one_aggregate_over_its_kinds(self, log: Log):
        await log.append(
            [claim(Aggregate("default", kind, "d1")) for kind in ("deployment", "replica", "traffic")],
            heads={},
            cause=CAUSE,
        )
        await log.append([claim(Aggregate("default", "replica", "d2"))], heads={}, cause=CAUSE)
        loaded = await log.load(select(aggregate_id="d1"))
        assert [event.aggregate.kind for event in loaded.events] == ["deployment", "replica", "traffic"]

    @pytest.mark.parametrize(
        "filters",
        [
            pytest.param([select(kind="name")], id="one filter"),
            pytest.param([select(kind="name"), select(kind="project")], id="filters side by side"),
            pytest.param(
                [select(kind="name"), select(project_id="default")], id="filters that overlap in part"
            ),
        ],
    )
    async def test_knows_no_limit_of_subjects(self, log: Log, filters):
        for start in range(0, 2500, 500):
            await log.append([claim(name(f"n{n}")) for n in range(start, start + 500)], heads={}, cause=CAUSE)
        await log.append([claim(name("n7"), "d2")], heads={name("n7"): Head(8)}, cause=CAUSE)
        loaded = await log.load(*filters)
        assert [event.sequence for event in loaded.events] == [*range(1, 8), *range(9, 2502)]


class TestRead:
    @pytest.fixture
    async def filled(self, log: Log) -> Log:
        """a b a a b c, the last two in one append."""
        heads: dict = {}
        for drafts in (
            [claim(name("a"))],
            [claim(name("b"))],
            [release(name("a"))],
            [claim(name("a"))],
            [claim(name("b")), claim(name("c"))],
        ):
            heads |= (await log.append(drafts, heads=heads, cause=CAUSE)).heads
        return log

    @pytest.mark.parametrize(
        ("filters", "after", "until", "sequences"),
        [
            pytest.param([">"], 0, None, [1, 2, 3, 4, 5, 6], id="everything"),
            pytest.param(
                [name("a").filter], 0, None, [1, 3, 4], id="one aggregate, old events of a subject too"
            ),
            pytest.param([name("a").filter], 1, None, [3, 4], id="after a sequence"),
            pytest.param([name("a").filter], 1, 3, [3], id="until a sequence"),
            pytest.param([name("a").filter], 0, 2, [1], id="until a sequence of something else"),
            pytest.param([name("a").filter, name("c").filter], 1, None, [3, 4, 6], id="several filters"),
            pytest.param(
                [name("a").filter, select(event_type="NameReleased")],
                0,
                None,
                [1, 3, 4],
                id="overlapping filters",
            ),
            pytest.param(
                [name("a").filter, name("b").filter],
                0,
                4,
                [1, 2, 3, 4],
                id="several filters until a sequence",
            ),
            pytest.param([name("z").filter], 0, None, [], id="what was never written"),
            pytest.param(
                [name("z").filter, name("y").filter], 0, None, [], id="what was never written, twice"
            ),
            pytest.param([">"], 6, None, [], id="after the end"),
            pytest.param([">"], 9, None, [], id="after what is to come"),
            pytest.param([">"], 4, 2, [], id="until before its start"),
        ],
    )
    async def test_gives(self, filled: Log, filters, after, until, sequences):
        assert await everything(filled, *filters, after=after, until=until) == sequences

    @pytest.mark.parametrize(
        "filters",
        [
            pytest.param([select(kind="name")], id="one filter"),
            pytest.param([name("a").filter, name("b").filter], id="several filters"),
        ],
    )
    async def test_gives_long_histories_whole(self, log: Log, filters):
        heads: dict = {}
        for _ in range(5):
            drafts = [claim(name("a" if n % 2 else "b"), str(n)) for n in range(600)]
            heads |= (await log.append(drafts, heads=heads, cause=CAUSE)).heads
        assert await everything(log, *filters) == list(range(1, 3001))
        assert await everything(log, *filters, after=700, until=2345) == list(range(701, 2346))

    async def test_ends_although_events_keep_coming(self, filled: Log):
        taken = []
        heads = dict((await filled.load(">")).heads)
        async for event in filled.read(">"):
            taken.append(event.sequence)
            heads |= (await filled.append([claim(name("c"))], heads=heads, cause=CAUSE)).heads
        assert taken == [1, 2, 3, 4, 5, 6]


class TestFollow:
    async def test_of_an_empty_log_waits_for_news(self, log: Log):
        async with aclosing(log.follow(select(kind="name"))) as events:
            assert await take(events, 1) == [CaughtUp(0)]
            await log.append([claim(name("a"))], heads={}, cause=CAUSE)
            assert await take(events, 1) == [1]

    async def test_starts_with_the_newest_of_each_subject_and_goes_on_with_all(self, log: Log):
        result = await log.append(
            [claim(name("a")), claim(name("b")), claim(name("a"))], heads={}, cause=CAUSE
        )
        async with aclosing(log.follow(select(kind="name"))) as events:
            assert await take(events, 3) == [2, 3, CaughtUp(3)]
            result = await log.append([claim(name("a"))], heads=result.heads, cause=CAUSE)
            await log.append([claim(name("a"))], heads=result.heads, cause=CAUSE)
            assert await take(events, 2) == [4, 5]

    async def test_resumes_after_a_sequence_with_every_event(self, log: Log):
        result = await log.append([claim(name("a")) for _ in range(4)], heads={}, cause=CAUSE)
        async with aclosing(log.follow(select(kind="name"), after=1)) as events:
            assert await take(events, 4) == [2, 3, 4, CaughtUp(4)]
            await log.append([claim(name("a"))], heads=result.heads, cause=CAUSE)
            assert await take(events, 1) == [5]

    async def test_resumes_at_the_end(self, log: Log):
        result = await log.append([claim(name("a")) for _ in range(2)], heads={}, cause=CAUSE)
        async with aclosing(log.follow(select(kind="name"), after=2)) as events:
            assert await take(events, 1) == [CaughtUp(2)]
            await log.append([claim(name("a"))], heads=result.heads, cause=CAUSE)
            assert await take(events, 1) == [3]

    async def test_sees_only_what_its_filters_select(self, log: Log):
        await log.append([claim(name("a")), claim(name("b")), claim(name("c"))], heads={}, cause=CAUSE)
        async with aclosing(log.follow(name("a").filter, select(aggregate_id="c"))) as events:
            assert await take(events, 3) == [1, 3, CaughtUp(3)]
            await log.append([claim(name("d")), claim(Aggregate("p", "project", "c"))], heads={}, cause=CAUSE)
            assert await take(events, 1) == [5]

    async def test_filters_may_overlap_in_part(self, log: Log):
        await log.append(
            [claim(name("a", "p")), claim(name("b")), claim(Aggregate("p", "project", "p"))],
            heads={},
            cause=CAUSE,
        )
        async with aclosing(log.follow(select(kind="project"), select(project_id="p"))) as events:
            assert await take(events, 3) == [1, 3, CaughtUp(3)]

    async def test_is_caught_up_although_its_filters_select_nothing(self, log: Log):
        await log.append([claim(name("a"))], heads={}, cause=CAUSE)
        async with aclosing(log.follow(select(kind="project"))) as events:
            assert await take(events, 1) == [CaughtUp(1)]

    async def test_while_others_write_gives_all_after_its_start_once_and_in_order(self, log: Log):
        async def write() -> None:
            heads: dict = {}
            for number in range(300):
                heads |= (await log.append([claim(name(f"n{number % 7}"))], heads=heads, cause=CAUSE)).heads

        writing = asyncio.create_task(write())
        await eventually(log.last_sequence)
        first = await log.last_sequence()
        seen = []
        async with asyncio.timeout(30), aclosing(log.follow(">", after=first)) as events:
            async for item in events:
                if not isinstance(item, CaughtUp):
                    seen.append(item.sequence)
                if seen and seen[-1] == 300:
                    break
        await writing
        assert seen == list(range(first + 1, 301))

    async def test_followers_are_independent(self, log: Log):
        async with aclosing(log.follow(">")) as one, aclosing(log.follow(">")) as other:
            assert await take(one, 1) == [CaughtUp(0)]
            await log.append([claim(name("a"))], heads={}, cause=CAUSE)
            assert await take(one, 1) == [1]
            assert await take(other, 2) == [1, CaughtUp(1)]


class TestSequenceAt:
    async def test_of_an_empty_log_is_zero(self, log: Log):
        assert await log.sequence_at(utc_now()) == 0

    async def test_is_the_last_event_at_or_before_the_moment(self, log: Log):
        heads: dict = {}
        for number in range(20):
            heads |= (await log.append([claim(name("a"), str(number))], heads=heads, cause=CAUSE)).heads
        events = [event async for event in log.read(">")]
        assert await log.sequence_at(events[0].time - timedelta(microseconds=1)) == 0
        for event in events:
            at = await log.sequence_at(event.time)
            assert at == max(other.sequence for other in events if other.time == event.time)
        assert await log.sequence_at(events[-1].time + timedelta(days=1)) == 20

    async def test_never_cuts_inside_a_batch(self, log: Log):
        result = await log.append([claim(name("a"))], heads={}, cause=CAUSE)
        await log.append([claim(name("a"), str(n)) for n in range(200)], heads=result.heads, cause=CAUSE)
        async for event in log.read(">"):
            assert await log.sequence_at(event.time) in {1, 201}


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
