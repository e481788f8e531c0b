"""What a load and a read give, whichever adapter it is."""

from datetime import timedelta

import pytest

from libs.common.clock import utc_now
from libs.common.events.envelope import Aggregate, select
from libs.common.log.port import Head
from tests.support.event_logs import AnyLog, sequences
from tests.support.names import CAUSE, claim, name, release


class TestSubjects:
    async def test_are_those_that_have_an_event(self, any_log: AnyLog):
        assert await any_log.subjects(select(kind="name")) == set()
        await any_log.append([claim(name("a")), release(name("a"))], heads={}, cause=CAUSE)
        await any_log.append([claim(Aggregate("default", "project", "b"))], heads={}, cause=CAUSE)
        assert await any_log.subjects(select(event_type="NameReleased")) == {release(name("a")).subject}
        assert len(await any_log.subjects(select())) == 3


class TestLoad:
    async def test_of_nothing_is_empty(self, any_log: AnyLog):
        loaded = await any_log.load(name("a").filter)
        assert (loaded.events, loaded.sequence, dict(loaded.heads)) == ((), 0, {})

    async def test_gives_the_newest_of_each_subject_in_sequence_order(self, any_log: AnyLog):
        await any_log.append(
            [claim(name("a")), release(name("a")), claim(name("b")), claim(name("a"), "d2")],
            heads={},
            cause=CAUSE,
        )
        loaded = await any_log.load(name("a").filter, name("b").filter)
        assert [event.sequence for event in loaded.events] == [2, 3, 4]
        assert loaded.sequence == 4
        assert {aggregate: head.sequence for aggregate, head in loaded.heads.items()} == {
            name("a"): 4,
            name("b"): 3,
        }
        assert [event.sequence for event in loaded.of(name("a"))] == [2, 4]

    async def test_of_the_past_knows_no_limit_of_subjects(self, any_log: AnyLog):
        names = [name(str(number)) for number in range(1500)]
        for begin in range(0, len(names), 500):
            await any_log.append([claim(one) for one in names[begin : begin + 500]], heads={}, cause=CAUSE)
        until = await any_log.last_sequence()
        await any_log.append([claim(name("later"))], heads={}, cause=CAUSE)
        loaded = await any_log.load(*(one.filter for one in names), until=until)
        assert [event.sequence for event in loaded.events] == list(range(1, until + 1))

    async def test_gives_an_event_once_that_several_filters_select(self, any_log: AnyLog):
        await any_log.append([claim(name("a")), claim(name("b"))], heads={}, cause=CAUSE)
        loaded = await any_log.load(name("a").filter, select(kind="name"), select(event_type="NameClaimed"))
        assert [event.sequence for event in loaded.events] == [1, 2]

    async def test_selects_one_aggregate_over_its_kinds(self, any_log: AnyLog):
        await any_log.append(
            [claim(Aggregate("default", kind, "d1")) for kind in ("deployment", "replica", "traffic")],
            heads={},
            cause=CAUSE,
        )
        await any_log.append([claim(Aggregate("default", "replica", "d2"))], heads={}, cause=CAUSE)
        loaded = await any_log.load(select(aggregate_id="d1"))
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
    async def test_knows_no_limit_of_subjects(self, any_log: AnyLog, filters):
        for start in range(0, 2500, 500):
            await any_log.append(
                [claim(name(f"n{n}")) for n in range(start, start + 500)], heads={}, cause=CAUSE
            )
        await any_log.append([claim(name("n7"), "d2")], heads={name("n7"): Head(8)}, cause=CAUSE)
        loaded = await any_log.load(*filters)
        assert [event.sequence for event in loaded.events] == [*range(1, 8), *range(9, 2502)]


class TestLoadOfThePast:
    @pytest.fixture
    async def filled(self, any_log: AnyLog) -> AnyLog:
        """claim a, claim b, release a, claim a, claim b, claim c: the last two in one append."""
        heads: dict = {}
        for drafts in (
            [claim(name("a"))],
            [claim(name("b"))],
            [release(name("a"))],
            [claim(name("a"))],
            [claim(name("b")), claim(name("c"))],
        ):
            heads |= (await any_log.append(drafts, heads=heads, cause=CAUSE)).heads
        return any_log

    @pytest.mark.parametrize(
        ("filters", "until", "given"),
        [
            pytest.param([">"], 6, [3, 4, 5, 6], id="all of it"),
            pytest.param([">"], 99, [3, 4, 5, 6], id="until what is to come"),
            pytest.param([">"], 5, [3, 4, 5], id="without the newest"),
            pytest.param([">"], 4, [2, 3, 4], id="an old event of a subject that has a newer one"),
            pytest.param([">"], 2, [1, 2], id="before a subject's first event"),
            pytest.param([">"], 0, [], id="before everything"),
            pytest.param([">"], -1, [], id="before the beginning"),
            pytest.param([name("a").filter], 2, [1], id="one aggregate"),
            pytest.param([name("a").filter, name("c").filter], 5, [3, 4], id="several filters"),
            pytest.param([name("a").filter, select(kind="name")], 3, [1, 2, 3], id="overlapping filters"),
            pytest.param([name("c").filter], 5, [], id="what came only later"),
        ],
    )
    async def test_gives_the_newest_of_each_subject_up_to_a_sequence(
        self, filled: AnyLog, filters, until, given
    ):
        loaded = await filled.load(*filters, until=until)
        assert [event.sequence for event in loaded.events] == given

    async def test_of_an_empty_log_is_empty(self, any_log: AnyLog):
        assert (await any_log.load(">", until=3)).events == ()

    @pytest.mark.parametrize(
        "filters",
        [
            pytest.param([select(kind="name")], id="one filter"),
            pytest.param([select(kind="name"), select(project_id="default")], id="overlapping filters"),
        ],
    )
    async def test_knows_no_limit_of_subjects(self, any_log: AnyLog, filters):
        heads: dict = {}
        for start in (0, 500, 1000):
            drafts = [claim(name(f"n{n}")) for n in range(start, start + 500)]
            heads |= (await any_log.append(drafts, heads=heads, cause=CAUSE)).heads
        for _ in range(2):
            heads |= (await any_log.append([claim(name("n7"), "d2")], heads=heads, cause=CAUSE)).heads
        for until, given in ((1500, [*range(1, 1501)]), (1501, [*range(1, 8), *range(9, 1502)])):
            loaded = await any_log.load(*filters, until=until)
            assert [event.sequence for event in loaded.events] == given


class TestRead:
    @pytest.fixture
    async def filled(self, any_log: AnyLog) -> AnyLog:
        """a b a a b c, the last two in one append."""
        heads: dict = {}
        for drafts in (
            [claim(name("a"))],
            [claim(name("b"))],
            [release(name("a"))],
            [claim(name("a"))],
            [claim(name("b")), claim(name("c"))],
        ):
            heads |= (await any_log.append(drafts, heads=heads, cause=CAUSE)).heads
        return any_log

    @pytest.mark.parametrize(
        ("filters", "after", "until", "given"),
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
    async def test_gives(self, filled: AnyLog, filters, after, until, given):
        assert await sequences(filled, *filters, after=after, until=until) == given

    @pytest.mark.parametrize(
        "filters",
        [
            pytest.param([select(kind="name")], id="one filter"),
            pytest.param([name("a").filter, name("b").filter], id="several filters"),
        ],
    )
    async def test_gives_long_histories_whole(self, any_log: AnyLog, filters):
        heads: dict = {}
        for _ in range(5):
            drafts = [claim(name("a" if n % 2 else "b"), str(n)) for n in range(600)]
            heads |= (await any_log.append(drafts, heads=heads, cause=CAUSE)).heads
        assert await sequences(any_log, *filters) == list(range(1, 3001))
        assert await sequences(any_log, *filters, after=700, until=2345) == list(range(701, 2346))

    async def test_ends_although_events_keep_coming(self, filled: AnyLog):
        taken = []
        heads = dict((await filled.load(">")).heads)
        async for event in filled.read(">"):
            taken.append(event.sequence)
            heads |= (await filled.append([claim(name("c"))], heads=heads, cause=CAUSE)).heads
        assert taken == [1, 2, 3, 4, 5, 6]


class TestSequenceAt:
    async def test_of_an_empty_log_is_zero(self, any_log: AnyLog):
        assert await any_log.sequence_at(utc_now()) == 0

    async def test_is_the_last_event_at_or_before_the_moment(self, any_log: AnyLog):
        heads: dict = {}
        for number in range(20):
            heads |= (await any_log.append([claim(name("a"), str(number))], heads=heads, cause=CAUSE)).heads
        events = [event async for event in any_log.read(">")]
        assert await any_log.sequence_at(events[0].time - timedelta(microseconds=1)) == 0
        for event in events:
            at = await any_log.sequence_at(event.time)
            assert at == max(other.sequence for other in events if other.time == event.time)
        assert await any_log.sequence_at(events[-1].time + timedelta(days=1)) == 20

    async def test_never_cuts_inside_a_batch(self, any_log: AnyLog):
        result = await any_log.append([claim(name("a"))], heads={}, cause=CAUSE)
        await any_log.append([claim(name("a"), str(n)) for n in range(200)], heads=result.heads, cause=CAUSE)
        async for event in any_log.read(">"):
            assert await any_log.sequence_at(event.time) in {1, 201}
