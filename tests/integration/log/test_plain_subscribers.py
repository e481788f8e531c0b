"""Who subscribes to `events.>` without a consumer hears what the log stores, and nothing that it refuses."""

import asyncio
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client

from libs.common.errors import AppendConflict
from libs.common.log import wire
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import Guard, Stored
from tests.support.names import CAUSE, claim, name, release
from tests.support.nats_server import NatsEndpoint, connected
from tests.support.plain_subscriber import assert_heard_exactly, listening

ROUNDS = 50

_THEN = datetime(2026, 1, 1, tzinfo=UTC)


async def test_of_two_writers_that_race_only_the_winner_is_heard(
    nats_endpoint: NatsEndpoint, log_client: Client, jetstream_log: JetStreamLog
):
    async with connected(nats_endpoint.url) as other, listening(log_client) as heard:
        logs = [jetstream_log, JetStreamLog(other, source="specstream/other")]
        lost = 0
        for round_ in range(ROUNDS):
            alone, both = name(f"a{round_}"), name(f"b{round_}")
            outcomes = await asyncio.gather(
                *(log.append([claim(alone)], heads={}, cause=CAUSE) for log in logs),
                *(log.append([claim(both), release(both)], heads={}, cause=CAUSE) for log in logs),
                return_exceptions=True,
            )
            lost += sum(isinstance(outcome, AppendConflict) for outcome in outcomes)
        assert lost == 2 * ROUNDS
        assert await jetstream_log.last_sequence() == 3 * ROUNDS
        await assert_heard_exactly(heard, jetstream_log)


async def test_a_batch_that_one_guard_refuses_is_not_heard_at_all(
    log_client: Client, jetstream_log: JetStreamLog
):
    await jetstream_log.append([claim(name("a"))], heads={}, cause=CAUSE)
    async with listening(log_client) as heard:
        for drafts, guards in (
            ([claim(name("b")), claim(name("c")), claim(name("a"))], []),
            ([claim(name("b")), release(name("b"))], [Guard(name("a").filter, 0)]),
        ):
            with pytest.raises(AppendConflict):
                await jetstream_log.append(drafts, heads={}, cause=CAUSE, guards=guards)
        await log_client.flush()
        assert heard == []


async def test_an_append_that_is_sent_again_is_heard_once(log_client: Client, jetstream_log: JetStreamLog):
    async with listening(log_client) as heard:
        for drafts in ([claim(name("a"))], [claim(name("b")), release(name("b"))]):
            await jetstream_log.append(drafts, heads={}, cause=CAUSE)
            await jetstream_log.append(drafts, heads={}, cause=CAUSE)
        await assert_heard_exactly(heard, jetstream_log)


async def test_an_event_is_heard_with_all_that_it_carries(log_client: Client, jetstream_log: JetStreamLog):
    async with listening(log_client) as heard:
        await jetstream_log.append([claim(name("a")), release(name("a"))], heads={}, cause=CAUSE)
        await assert_heard_exactly(heard, jetstream_log)
    stored = [event async for event in jetstream_log.read_raw()]
    said = [
        wire.to_stored(event.sequence, event.time, message.subject, message.headers or {}, message.data)
        for event, message in zip(stored, heard, strict=True)
    ]
    assert said == stored


async def test_imported_events_are_heard_too(log_client: Client, jetstream_log: JetStreamLog):
    stored = [
        Stored(place, _THEN, name(f"n{place}").subject("NameClaimed"), {"ce-id": f"e{place}"}, b"{}")
        for place in (1, 2, 3)
    ]
    async with listening(log_client) as heard:
        await jetstream_log.restore(stored[:2], until=3)
        await jetstream_log.restore(stored[:2], until=3)
        with pytest.raises(AppendConflict):
            await jetstream_log.restore(
                [Stored(9, _THEN, stored[2].subject, {"ce-id": "e9"}, b"{}")], until=9
            )
        await jetstream_log.restore(stored[2:], until=3)
        await assert_heard_exactly(heard, jetstream_log)
