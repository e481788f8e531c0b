"""What an append of several events promises, and one that rests on another aggregate."""

import asyncio

import pytest

from libs.common.errors import AppendConflict
from libs.common.events.envelope import Aggregate, Draft, select
from libs.common.events.project import ProjectCreated, ProjectDeleted
from libs.common.log.port import Guard
from tests.support.event_logs import AnyLog, sequences
from tests.support.names import CAUSE, claim, name, release


def project(project_id: str) -> Aggregate:
    return Aggregate(project_id, "project", project_id)


class TestBatch:
    async def test_is_stored_in_order_and_without_gaps(self, any_log: AnyLog):
        drafts = [claim(name("a")), claim(name("b")), release(name("a"))]
        result = await any_log.append(drafts, heads={}, cause=CAUSE)
        events = [(e.sequence, e.event_id) async for e in any_log.read(">")]
        assert events == [(place, draft.event_id) for place, draft in enumerate(drafts, 1)]
        assert {aggregate: head.sequence for aggregate, head in result.heads.items()} == {
            name("a"): 3,
            name("b"): 2,
        }
        assert result.sequence == 3

    async def test_stores_nothing_when_one_aggregate_has_moved_on(self, any_log: AnyLog):
        await any_log.append([claim(name("b"))], heads={}, cause=CAUSE)
        for drafts in (
            [claim(name("a")), claim(name("b"))],
            [claim(name("b")), claim(name("a"))],
            [claim(name("a")), claim(name("c")), claim(name("b")), claim(name("c"))],
        ):
            with pytest.raises(AppendConflict):
                await any_log.append(drafts, heads={}, cause=CAUSE)
        assert await sequences(any_log) == [1]

    async def test_takes_a_thousand_events(self, any_log: AnyLog):
        result = await any_log.append([claim(name("a"), str(n)) for n in range(1000)], heads={}, cause=CAUSE)
        assert result.sequence == 1000
        assert await sequences(any_log) == list(range(1, 1001))

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
    async def test_refuses(self, any_log: AnyLog, drafts, guards):
        with pytest.raises(ValueError):  # noqa: PT011 - each says something else
            await any_log.append(drafts, heads={}, cause=CAUSE, guards=guards)
        assert await any_log.last_sequence() == 0


class TestForeignGuard:
    """A name is claimed in a project that must still be there, in one append."""

    @staticmethod
    def drafts(key: str = "a") -> list[Draft]:
        return [claim(name(key)), claim(name(key), "d2")]

    async def test_holds_while_the_other_aggregate_is_as_it_was(self, any_log: AnyLog):
        created = await any_log.append([Draft(project("p"), ProjectCreated(name="p"))], heads={}, cause=CAUSE)
        result = await any_log.append(
            self.drafts(), heads={}, cause=CAUSE, guards=[Guard(project("p").filter, created.sequence)]
        )
        assert result.sequence == 3

    async def test_refuses_once_the_other_aggregate_has_moved_on(self, any_log: AnyLog):
        created = await any_log.append([Draft(project("p"), ProjectCreated(name="p"))], heads={}, cause=CAUSE)
        await any_log.append(
            [Draft(project("p"), ProjectDeleted(name="p"))], heads=created.heads, cause=CAUSE
        )
        with pytest.raises(AppendConflict):
            await any_log.append(
                self.drafts(), heads={}, cause=CAUSE, guards=[Guard(project("p").filter, created.sequence)]
            )
        assert await any_log.last_sequence() == 2

    async def test_can_ask_that_nothing_is_there(self, any_log: AnyLog):
        nothing = [Guard(select(project_id="q", kind="deployment"), 0)]
        await any_log.append(self.drafts("a"), heads={}, cause=CAUSE, guards=nothing)
        await any_log.append([claim(Aggregate("q", "deployment", "d9"))], heads={}, cause=CAUSE)
        with pytest.raises(AppendConflict):
            await any_log.append(self.drafts("b"), heads={}, cause=CAUSE, guards=nothing)

    async def test_never_skews(self, any_log: AnyLog):
        """A claim and the deletion of its project race: whoever is second is refused."""
        for round_ in range(30):
            home = project(f"p{round_}")
            created = await any_log.append([Draft(home, ProjectCreated(name="p"))], heads={}, cause=CAUSE)
            owned = Aggregate(home.project_id, "name", "web")
            claimed, deleted = await asyncio.gather(
                any_log.append(
                    [claim(owned), claim(owned, "d2")],
                    heads={},
                    cause=CAUSE,
                    guards=[Guard(home.filter, created.sequence)],
                ),
                any_log.append(
                    [Draft(home, ProjectDeleted(name="p")), Draft(home, ProjectDeleted(name="p"))],
                    heads=created.heads,
                    cause=CAUSE,
                    guards=[Guard(owned.filter, 0)],
                ),
                return_exceptions=True,
            )
            outcomes = sorted(type(outcome).__name__ for outcome in (claimed, deleted))
            assert outcomes == ["AppendConflict", "Appended"]
