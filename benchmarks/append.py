"""Decided and guarded appends per second on distinct aggregates, beside bare guarded publishes."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from itertools import count
from time import perf_counter

from nats.aio.client import Client

from benchmarks.brokers import broker
from benchmarks.figure import AtLeastOfLimit, Figure
from libs.common.events.catalogue import encode
from libs.common.events.envelope import Aggregate, Cause, Draft, append_subject
from libs.common.events.name import NameClaimed, NameReleased
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog

ROUNDS = 25
QUICK_ROUNDS = 7
ROUND_S = 0.25
"""Short, so that what else the machine does meets both sides alike."""
BATCH = 3
AIM = AtLeastOfLimit(0.7)
CAUSE = Cause(
    "key:default",
    correlation_id=new_id(),
    causation_id=new_id(),
    traceparent=f"00-{new_id()}-b7ad6b7169203331-01",
)

Work = Callable[[int], Awaitable[None]]
"""Writes on the aggregate of its number until the round is over, counting."""


def decide(aggregate: Aggregate, *, is_claimed: bool) -> Draft:
    fact = NameReleased if is_claimed else NameClaimed
    return Draft(aggregate, fact(parent="default", name="the name of a deployment", owner_id=aggregate.id))


class Round:
    """So many writers for `ROUND_S`; the rate is appends per second."""

    def __init__(self) -> None:
        self.appends = 0
        self._start = perf_counter()

    @property
    def is_over(self) -> bool:
        return perf_counter() - self._start > ROUND_S

    async def run(self, work: Work, writers: int) -> float:
        self.appends, self._start = 0, perf_counter()
        await asyncio.gather(*(work(number) for number in range(writers)))
        return self.appends / (perf_counter() - self._start)


class Contest:
    """The log and the bare client in turns, so that both meet the same disk and neighbours."""

    def __init__(self, client: Client, *, probe_runner: int) -> None:
        self._client = client
        self._probe_runner = probe_runner
        self._log = JetStreamLog(client, source="specstream/benchmark")
        self._jetstream = client.jetstream()
        self._fresh = count()
        self._round = Round()

    async def measure(self, name: str, writers: int, ours: Work, bare: Work) -> Figure:
        rates = [
            (await self._round.run(ours, writers), await self._round.run(bare, writers))
            for _ in range(self._probe_runner)
        ]
        own, limit = (statistics.median(side) for side in zip(*rates, strict=True))
        return Figure(f"{name}, {writers} in flight", own, "/s", limit, "bare nats-py, guarded", AIM)

    async def appends(self, _: int) -> None:
        aggregate = self._aggregate()
        heads = {}
        while not self._round.is_over:
            draft = decide(aggregate, is_claimed=self._round.appends % 2 == 1)
            heads = (await self._log.append([draft], heads=heads, cause=CAUSE)).heads
            self._round.appends += 1

    async def bare_appends(self, _: int) -> None:
        aggregate = self._aggregate()
        subject, data, sequence = _subject(aggregate), encode(decide(aggregate, is_claimed=False).fact), 0
        while not self._round.is_over:
            headers = {"Nats-Msg-Id": new_id(), **_guard(aggregate, sequence)}
            sequence = (await self._jetstream.publish(subject, data, headers=headers)).seq
            self._round.appends += 1

    async def batches(self, _: int) -> None:
        aggregate = self._aggregate()
        heads = {}
        while not self._round.is_over:
            drafts = [decide(aggregate, is_claimed=place % 2 == 1) for place in range(BATCH)]
            heads = (await self._log.append(drafts, heads=heads, cause=CAUSE)).heads
            self._round.appends += 1

    async def bare_batches(self, _: int) -> None:
        aggregate = self._aggregate()
        subject, data, sequence = _subject(aggregate), encode(decide(aggregate, is_claimed=False).fact), 0
        while not self._round.is_over:
            batch_id = new_id()
            for place in range(1, BATCH + 1):
                headers = {
                    "Nats-Batch-Id": batch_id,
                    "Nats-Batch-Sequence": str(place),
                    "Nats-Msg-Id": new_id(),
                    **(_guard(aggregate, sequence) if place == 1 else {}),
                    **({"Nats-Batch-Commit": "1"} if place == BATCH else {}),
                }
                if place < BATCH:
                    await self._client.publish(subject, data, headers=headers)
            sequence = (await self._jetstream.publish(subject, data, headers=headers)).seq
            self._round.appends += 1

    def _aggregate(self) -> Aggregate:
        return Aggregate("default", "name", f"{next(self._fresh):032x}")


def _subject(aggregate: Aggregate) -> str:
    return append_subject(aggregate.subject("NameClaimed"))


def _guard(aggregate: Aggregate, sequence: int) -> dict[str, str]:
    return {
        "Nats-Expected-Last-Subject-Sequence": str(sequence),
        "Nats-Expected-Last-Subject-Sequence-Subject": aggregate.filter,
    }


async def measure(*, quick: bool = False) -> list[Figure]:
    async with broker() as client:
        contest = Contest(client, probe_runner=QUICK_ROUNDS if quick else ROUNDS)
        figures = [
            await contest.measure("guarded appends", writers, contest.appends, contest.bare_appends)
            for writers in (1, 16, 64)
        ]
        figures += [
            await contest.measure(f"batches of {BATCH}", writers, contest.batches, contest.bare_batches)
            for writers in (1, 8)
        ]
        return figures
