"""The log on three servers, where the broker checks in another order and answers other errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NoAnswer
from nats.js.errors import APIError

from libs.common.errors import AppendConflict
from libs.common.events.envelope import Aggregate, Draft
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import Appended, Guard
from libs.common.log.provision import CannotProvision
from libs.common.log.verify import Verified, verify
from tests.support.names import CAUSE, claim, name, release
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import connected, make_fresh
from tests.support.plain_subscriber import assert_heard_exactly, listening
from tests.support.polling import PATIENCE_S, eventually


@pytest.fixture
async def clients(nats_cluster: tuple[NatsProcess, ...]) -> AsyncIterator[list[Client]]:
    """One connection to each server, to a fresh log with three replicas."""
    one, two, three = (connected(server.url) for server in nats_cluster)
    async with one as first, two as second, three as third:

        async def is_ready() -> bool:
            try:
                await make_fresh(first, replicas=3)
            except (CannotProvision, Exception) as error:  # noqa: BLE001 - no leader yet shows in many ways
                print("cluster not ready:", error)
                return False
            return True

        await eventually(is_ready, every_s=0.5)
        yield [first, second, third]


def logs_of(clients: list[Client]) -> list[JetStreamLog]:
    """They wait for a leader as long as it takes to elect one on a busy machine."""
    return [JetStreamLog(client, source="specstream/test", deadline_s=PATIENCE_S) for client in clients]


async def test_of_contending_writers_one_wins_each_round(clients: list[Client]):
    logs = logs_of(clients)
    for round_ in range(10):
        aggregate = name(f"n{round_}")
        outcomes = await asyncio.gather(
            *(logs[n % 3].append([claim(aggregate, str(n))], heads={}, cause=CAUSE) for n in range(30)),
            *(
                logs[n % 3].append([claim(aggregate, str(n)), release(aggregate)], heads={}, cause=CAUSE)
                for n in range(10)
            ),
            return_exceptions=True,
        )
        names = [type(outcome).__name__ for outcome in outcomes]
        assert set(names) <= {"Appended", "AppendConflict"}, outcomes
        assert names.count("Appended") <= 1

    async def whole() -> bool:
        return isinstance(await verify(logs[0].read_raw()), Verified)

    assert await whole()


async def test_writers_that_try_again_all_get_through(clients: list[Client]):
    logs = logs_of(clients)

    async def write(number: int) -> None:
        log = logs[number % 3]
        while True:
            loaded = await log.load(name("a").filter)
            try:
                await log.append([claim(name("a"), str(number))], heads=loaded.heads, cause=CAUSE)
            except AppendConflict:
                continue
            return

    await asyncio.gather(*(write(n) for n in range(30)))
    assert await logs[0].last_sequence() == 30
    assert isinstance(await verify(logs[0].read_raw()), Verified)


async def test_the_same_drafts_again_are_the_same_events(clients: list[Client]):
    log = logs_of(clients)[0]
    for drafts in ([claim(name("a"))], [claim(name("b")), release(name("b")), claim(name("c"))]):
        first = await log.append(drafts, heads={}, cause=CAUSE)
        assert await log.append(drafts, heads={}, cause=CAUSE) == first
    assert await log.last_sequence() == 4


async def test_an_event_id_of_another_event_is_refused(clients: list[Client]):
    """Here the broker looks for duplicates before it looks at the guard."""
    log = logs_of(clients)[0]
    draft = claim(name("a"))
    await log.append([draft], heads={}, cause=CAUSE)
    taken = Draft(name("b"), draft.fact, event_id=draft.event_id)
    with pytest.raises(ValueError, match="taken"):
        await log.append([taken], heads={}, cause=CAUSE)
    assert await log.last_sequence() == 1


async def test_a_foreign_guard_never_skews(clients: list[Client]):
    one, other, _ = logs_of(clients)
    for round_ in range(20):
        home, owned = Aggregate(f"p{round_}", "project", "p"), Aggregate(f"p{round_}", "name", "web")
        created = await one.append([claim(home)], heads={}, cause=CAUSE)
        outcomes = await asyncio.gather(
            one.append(
                [claim(owned), release(owned)],
                heads={},
                cause=CAUSE,
                guards=[Guard(home.filter, created.sequence)],
            ),
            other.append(
                [release(home), release(home)],
                heads=created.heads,
                cause=CAUSE,
                guards=[Guard(owned.filter, 0)],
            ),
            return_exceptions=True,
        )
        names = [type(outcome).__name__ for outcome in outcomes]
        assert set(names) <= {"Appended", "AppendConflict"}, outcomes
        assert names.count("Appended") <= 1


async def test_a_plain_subscriber_hears_exactly_what_is_stored(clients: list[Client]):
    logs = logs_of(clients)
    async with listening(clients[2]) as heard:
        for round_ in range(20):
            alone, both = name(f"a{round_}"), name(f"b{round_}")
            outcomes = await asyncio.gather(
                *(log.append([claim(alone)], heads={}, cause=CAUSE) for log in logs),
                *(log.append([claim(both), release(both)], heads={}, cause=CAUSE) for log in logs),
                return_exceptions=True,
            )
            assert {type(outcome) for outcome in outcomes} <= {Appended, AppendConflict}, outcomes
        await logs[0].append([claim(name("last"))], heads={}, cause=CAUSE)
        await assert_heard_exactly(heard, logs[0])


async def test_the_leader_killed_loses_nothing(nats_cluster: tuple[NatsProcess, ...], clients: list[Client]):
    async def its_name() -> str | None:
        """None while one is being elected. What is asked meanwhile is never answered, and asked again."""
        with suppress(NoAnswer, APIError):
            return (await clients[0].jetstream(timeout=10).stream_info("EVENTS")).cluster.leader
        return None

    leader = int(str(await eventually(its_name)).removeprefix("n"))
    survivor = clients[(leader + 1) % 3]
    log = JetStreamLog(survivor, source="specstream/test", attempt_s=1.0, deadline_s=PATIENCE_S)
    acknowledged: list[str] = []

    async def write(writer: int) -> None:
        heads: dict = {}
        for number in range(40):
            drafts = [claim(name(f"w{writer}"), str(number)) for _ in range(1 + number % 3)]
            heads = (await log.append(drafts, heads=heads, cause=CAUSE)).heads
            acknowledged.extend(draft.event_id for draft in drafts)

    writing = asyncio.gather(*(write(writer) for writer in range(5)))
    await eventually(lambda: len(acknowledged) > 60)
    nats_cluster[leader].kill()
    await writing
    nats_cluster[leader].start()

    stored = [event.headers["ce-id"] async for event in log.read_raw()]
    assert sorted(stored) == sorted(acknowledged)
    assert isinstance(await verify(log.read_raw()), Verified)
