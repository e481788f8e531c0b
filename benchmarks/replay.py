"""Replayed events per second, decoded and folded into facts, beside a bare fetch of the same messages."""

import functools
import statistics
from collections.abc import Awaitable, Callable
from time import perf_counter

from nats.aio.client import Client
from nats.js import api

from benchmarks.brokers import broker
from benchmarks.figure import AtLeastOfLimit, AtMost, Figure
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.events.replica import RosterRecorded
from libs.common.events.rollout import RolloutPhase, RolloutProgressed
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import CaughtUp
from libs.common.state.replica import Roster, evolve
from tests.support.deployments import a_replica

EVENTS = 50_000
AT_ONCE = 500
AGGREGATES = 1_000
REPLICAS = 1_000
ROUNDS = 5
QUICK_ROUNDS = 2
AIM = AtLeastOfLimit(0.5)


def progressed(number: int) -> Draft:
    fact = RolloutProgressed(
        spec_id=new_id(),
        run_id=new_id(),
        phase=RolloutPhase.COMPLETE,
        replicas=2,
        ready_replicas=2,
        leaving_replicas=number % 3,
    )
    return Draft(Aggregate("default", "rollout", f"{number % AGGREGATES:032x}"), fact)


async def fill(log: JetStreamLog) -> None:
    cause = Cause("service:reconciler", new_id(), new_id(), f"00-{new_id()}-b7ad6b7169203331-01")
    heads: dict = {}
    for start in range(0, EVENTS, AT_ONCE):
        drafts = [progressed(number) for number in range(start, start + AT_ONCE)]
        heads |= (await log.append(drafts, heads=heads, cause=cause)).heads


async def bare_fetch(client: Client) -> int:
    config = api.ConsumerConfig(ack_policy=api.AckPolicy.NONE, mem_storage=True)
    consumer = await client.jetstream().pull_subscribe("events.>", stream="EVENTS", config=config)
    messages = 0
    while messages < EVENTS:
        messages += len(await consumer.fetch(AT_ONCE, timeout=5))
    await consumer.unsubscribe()
    return messages


async def read(log: JetStreamLog) -> int:
    events = 0
    async for event in log.read("events.>"):
        events += event.fact is not None
    return events


async def follow(log: JetStreamLog) -> int:
    events = 0
    async for event in log.follow("events.>", after=0):
        if isinstance(event, CaughtUp):
            return events
        events += event.fact is not None
    raise AssertionError("a follower never ends")


async def rate(work: Callable[[], Awaitable[int]]) -> float:
    start = perf_counter()
    assert await work() == EVENTS
    return EVENTS / (perf_counter() - start)


async def load_roster(log: JetStreamLog, rounds: int) -> float:
    """Seconds from the question for the roster of one deployment until it is folded."""
    aggregate = Aggregate("default", "replica", new_id())
    pages = Roster.of(a_replica(new_id(), f"127.0.0.1:{10_000 + n}") for n in range(REPLICAS)).pages
    facts = [RosterRecorded(page=n, pages=len(pages), replicas=page) for n, page in pages.items()]
    cause = Cause("service:health", new_id(), new_id(), f"00-{new_id()}-b7ad6b7169203331-01")
    await log.append([Draft(aggregate, fact) for fact in facts], heads={}, cause=cause)
    took = []
    for _ in range(rounds):
        start = perf_counter()
        loaded = await log.load(aggregate.filter)
        assert len(functools.reduce(evolve, loaded.events, Roster()).replicas) == REPLICAS
        took.append(perf_counter() - start)
    return statistics.median(took)


async def measure(*, quick: bool = False) -> list[Figure]:
    async with broker() as client:
        log = JetStreamLog(client, source="specstream/benchmark")
        await fill(log)
        # In turns, so that all meet the same neighbours.
        rounds = [
            [
                await rate(lambda: bare_fetch(client)),
                await rate(lambda: read(log)),
                await rate(lambda: follow(log)),
            ]
            for _ in range(QUICK_ROUNDS if quick else ROUNDS)
        ]
        bare, reading, following = (statistics.median(rates) for rates in zip(*rounds, strict=True))

        start = perf_counter()
        loaded = await log.load("events.>")
        assert len(loaded.events) == AGGREGATES
        loading_s = perf_counter() - start
        roster_s = await load_roster(log, QUICK_ROUNDS if quick else ROUNDS)
        return [
            Figure("replay by reading", reading, "events/s", bare, "bare fetch", AIM),
            Figure("replay by following", following, "events/s", bare, "bare fetch", AIM),
            Figure(f"load of {AGGREGATES} subjects", loading_s * 1e3, "ms"),
            Figure(f"load of a roster of {REPLICAS}", roster_s * 1e3, "ms", aim=AtMost(50)),
        ]
