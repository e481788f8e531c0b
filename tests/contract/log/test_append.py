"""What an append of one event promises, held by both adapters."""

from datetime import timedelta

import pytest

from libs.common.clock import utc_now
from libs.common.errors import AppendConflict
from libs.common.events.envelope import GENESIS, Aggregate, Cause, Draft, select
from libs.common.events.name import NameClaimed
from libs.common.events.project import ProjectCreated
from libs.common.log.chain import envelope_hash
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import Head
from tests.support.event_logs import AnyLog, sequences
from tests.support.names import CAUSE, claim, name, release


def project(project_id: str) -> Aggregate:
    return Aggregate(project_id, "project", project_id)


class TestAppend:
    async def test_stores_what_it_was_given(self, any_log: AnyLog):
        before = utc_now() - timedelta(seconds=1)
        result = await any_log.append([claim(name("a"), event_id="e1")], heads={}, cause=CAUSE)
        [event] = (await any_log.load(name("a").filter)).events

        assert (event.sequence, event.aggregate, event.type, event.event_id) == (
            1,
            name("a"),
            "NameClaimed",
            "e1",
        )
        assert event.fact == NameClaimed(parent="default", name="☃", owner_id="d1")
        assert event.data == {"parent": "default", "name": "☃", "owner_id": "d1"}
        assert event.cause == CAUSE
        assert before < event.time < utc_now() + timedelta(seconds=1)
        assert event.subject == "events.default.name.a.NameClaimed"
        assert result.sequence == 1
        assert result.heads == {name("a"): Head(1, event.hash)}

    async def test_leaves_out_what_the_cause_does_not_have(self, any_log: AnyLog):
        await any_log.append([claim(name("a"))], heads={}, cause=Cause("key:default", "c1"))
        [event] = (await any_log.load(name("a").filter)).events
        assert event.cause == Cause("key:default", "c1", None, None)

    async def test_chains_each_event_to_the_one_before_it_in_its_aggregate(self, any_log: AnyLog):
        first = await any_log.append([claim(name("a"), event_id="e1")], heads={}, cause=CAUSE)
        await any_log.append([claim(name("b"), event_id="e2")], heads={}, cause=CAUSE)
        await any_log.append(
            [claim(name("a"), "d2", event_id="e3"), claim(name("a"), "d3", event_id="e4")],
            heads=first.heads,
            cause=CAUSE,
        )
        raw = {event.headers["ce-id"]: event async for event in any_log.read_raw()}
        for event_id, previous in (("e1", GENESIS), ("e2", GENESIS), ("e3", "e1"), ("e4", "e3")):
            event = raw[event_id]
            before = raw[previous].headers["ce-hash"] if previous else GENESIS
            assert event.headers["ce-hash"] == envelope_hash(before, event.subject, event.headers, event.data)

    async def test_heads_from_an_append_and_from_a_load_are_the_same(self, any_log: AnyLog):
        result = await any_log.append(
            [claim(name("a")), release(name("a")), claim(name("b"))], heads={}, cause=CAUSE
        )
        assert dict((await any_log.load(select(kind="name"))).heads) == dict(result.heads)

    @pytest.mark.parametrize(
        "heads",
        [
            pytest.param({}, id="a head that says there are no events"),
            pytest.param({name("a"): Head(1, "x")}, id="an older head"),
            pytest.param({name("a"): Head(3, "x")}, id="a head from the future"),
        ],
    )
    async def test_refuses(self, any_log: AnyLog, heads):
        first = await any_log.append([claim(name("a"))], heads={}, cause=CAUSE)
        await any_log.append([release(name("a"))], heads=first.heads, cause=CAUSE)
        with pytest.raises(AppendConflict):
            await any_log.append([claim(name("a"))], heads=heads, cause=CAUSE)
        assert await sequences(any_log) == [1, 2]

    async def test_aggregates_do_not_hinder_each_other(self, any_log: AnyLog):
        await any_log.append([claim(name("a"))], heads={}, cause=CAUSE)
        result = await any_log.append([claim(name("b"))], heads={}, cause=CAUSE)
        assert result.sequence == 2

    async def test_an_aggregate_is_its_whole_key(self, any_log: AnyLog):
        await any_log.append([claim(name("a", "p1"))], heads={}, cause=CAUSE)
        await any_log.append([claim(name("a", "p2"))], heads={}, cause=CAUSE)
        await any_log.append([Draft(project("a"), ProjectCreated(name="a"))], heads={}, cause=CAUSE)
        assert await any_log.last_sequence() == 3

    async def test_the_same_draft_again_is_the_same_event(self, any_log: AnyLog):
        draft = claim(name("a"))
        first = await any_log.append([draft], heads={}, cause=CAUSE)
        await any_log.append([release(name("a"))], heads=first.heads, cause=CAUSE)
        assert await any_log.append([draft], heads={}, cause=CAUSE) == first
        assert await sequences(any_log) == [1, 2]

    async def test_the_same_draft_again_on_a_newer_head_is_the_same_event(self, any_log: AnyLog):
        draft = claim(name("a"))
        first = await any_log.append([draft], heads={}, cause=CAUSE)
        assert await any_log.append([draft], heads=first.heads, cause=CAUSE) == first
        assert await sequences(any_log) == [1]

    async def test_the_same_batch_again_is_the_same_events(self, any_log: AnyLog):
        drafts = [claim(name("a")), release(name("a")), claim(name("b"))]
        first = await any_log.append(drafts, heads={}, cause=CAUSE)
        await any_log.append([claim(name("a"))], heads=first.heads, cause=CAUSE)
        assert await any_log.append(drafts, heads={}, cause=CAUSE) == first
        assert await any_log.append(drafts, heads=first.heads | {name("a"): Head(4)}, cause=CAUSE) == first
        assert await sequences(any_log) == [1, 2, 3, 4]

    async def test_refuses_an_event_id_that_another_event_has(self, any_log: AnyLog):
        await any_log.append([claim(name("a"), event_id="e1")], heads={}, cause=CAUSE)
        with pytest.raises(ValueError, match="taken"):
            await any_log.append([claim(name("b"), event_id="e1")], heads={}, cause=CAUSE)
        with pytest.raises(ValueError, match="taken"):
            await any_log.append([claim(name("b")), claim(name("c"), event_id="e1")], heads={}, cause=CAUSE)
        assert await sequences(any_log) == [1]

    async def test_refuses_a_fact_that_is_too_large_by_saying_so(self, jetstream_log: JetStreamLog):
        with pytest.raises(ValueError, match="more than the broker takes"):
            await jetstream_log.append([claim(name("a"), "x" * 2_000_000)], heads={}, cause=CAUSE)

    async def test_keeps_odd_text_as_it_is(self, any_log: AnyLog):
        cause = Cause("command:Käse \u2603", "c1")
        await any_log.append([claim(name("a"), "a\u0000b\n\U0001f600")], heads={}, cause=cause)
        [event] = (await any_log.load(name("a").filter)).events
        assert event.fact == NameClaimed(parent="default", name="☃", owner_id="a\u0000b\n\U0001f600")
        assert event.cause == cause

    async def test_a_cause_cannot_add_headers(self, any_log: AnyLog):
        await any_log.append([claim(name("a"))], heads={}, cause=Cause("x\r\nNats-Rollup: all", "c1"))
        [event] = [event async for event in any_log.read_raw()]
        assert "Nats-Rollup" not in event.headers
