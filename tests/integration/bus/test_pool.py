"""A slow deployment delays its own messages and nobody else's; by a real broker and its durable."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api

from libs.common.bus import pool as pools
from libs.common.bus.delivered import Delivered
from libs.common.bus.pool import Pool
from libs.common.bus.pull import BATCH, LATE_S, OPEN_S, Pull
from libs.common.clock import monotonic
from libs.common.errors import CannotApply, LogUnavailable
from tests.support.endless import running
from tests.support.nats_server import NatsEndpoint
from tests.support.polling import PATIENCE_S, eventually, let_time_pass

ACK_WAIT_S = 20.0
"""Longer than a busy machine makes this process stand still: nothing is delivered again because of that."""
SHORT_ACK_WAIT_S = 2.0
TRIES = 15
"""Of what a machine that stands still may spoil; one of them has to succeed."""


class Worker:
    """Handles the messages of `slow` deployments only when it is told to, and fails as it is told to."""

    def __init__(self) -> None:
        self.slow: set[str] = set()
        self.go_on = asyncio.Event()
        self.failures: dict[str, list[Exception]] = {}
        self.begun: list[tuple[str, int]] = []
        self.done: list[tuple[str, int]] = []
        self.at_once: dict[str, int] = {}
        self.most_at_once = 0

    async def __call__(self, message: tuple[str, int]) -> None:
        key, number = message
        self.begun.append((key, number))
        self.at_once[key] = self.at_once.get(key, 0) + 1
        self.most_at_once = max(self.most_at_once, self.at_once[key])
        try:
            if key in self.slow:
                await self.go_on.wait()
            if self.failures.get(key):
                raise self.failures[key].pop(0)
        finally:
            self.at_once[key] -= 1
        self.done.append((key, number))


def read(message: Delivered) -> tuple[str, int]:
    """Raises CannotApply for a body that will never be a number, LogUnavailable for one that is not yet."""
    if message.body == b"never":
        raise CannotApply("never a number")
    if message.body == b"not yet":
        if message.deliveries < 3:
            raise LogUnavailable("not yet a number")
        return message.subject.split(".")[1], message.deliveries
    return message.subject.split(".")[1], int(message.body)


class Stage:
    def __init__(self, client: Client, url: str, worker: Worker) -> None:
        self.client, self.url, self.worker = client, url, worker

    async def say(self, key: str, *numbers: int | str) -> None:
        for number in numbers:
            await self.client.jetstream().publish(f"work.{key}", str(number).encode())

    async def unacknowledged(self) -> int:
        info = await self.client.jetstream().consumer_info("WORK", "worker")
        return info.num_ack_pending + info.num_pending

    async def wait_for_acks(self, seconds: float) -> None:
        """From now on the broker delivers again what is not answered for so long."""
        await self.client.jetstream().add_consumer(
            "WORK", durable_name="worker", ack_policy=api.AckPolicy.EXPLICIT, ack_wait=seconds
        )

    @asynccontextmanager
    async def working(self, *, said_every_s: float = ACK_WAIT_S / 8, **options: float) -> AsyncIterator[None]:
        broker = NatsBroker(self.url)
        try:
            async with Pool(self.worker, said_every_s=said_every_s, **options).open() as pool:
                pull = Pull(
                    broker,
                    pool,
                    read,
                    lambda item: item[0],
                    stream="WORK",
                    durable="worker",
                    service="worker",
                )
                async with running(pull.run()):
                    yield
        finally:
            await broker.stop()


@pytest.fixture
async def stage(nats_endpoint: NatsEndpoint, log_client: Client) -> AsyncIterator[Stage]:
    jetstream = log_client.jetstream()
    await jetstream.add_stream(name="WORK", subjects=["work.>"], storage=api.StorageType.MEMORY)
    stage = Stage(log_client, nats_endpoint.url, Worker())
    await stage.wait_for_acks(ACK_WAIT_S)
    yield stage
    await jetstream.delete_stream("WORK")


async def test_a_slow_deployment_delays_nobody_else(stage: Stage) -> None:
    stage.worker.slow = {"slow"}
    await stage.say("slow", *range(100))
    await stage.say("quick", 1)
    async with stage.working():
        await eventually(lambda: ("quick", 1) in stage.worker.done)
        await stage.say("other", 2)
        await eventually(lambda: ("other", 2) in stage.worker.done)
        assert [key for key, _ in stage.worker.begun].count("slow") == 1
        stage.worker.go_on.set()
        await eventually(lambda: ("slow", 99) in stage.worker.done)
        await eventually(lambda: _is_done(stage))
    assert stage.worker.most_at_once == 1


async def test_of_what_waits_for_one_the_newest_is_handled_and_most_of_the_others_need_not_be(
    stage: Stage,
) -> None:
    """Messages of one request may come in another order; the newest is the last one all the same."""
    stage.worker.slow = {"slow"}
    await stage.say("slow", *range(50))
    async with stage.working():
        await eventually(lambda: stage.worker.begun)
        await eventually(lambda: _holds_at_most(stage, 3))
        stage.worker.go_on.set()
        await eventually(lambda: ("slow", 49) in stage.worker.done)
    handled = [number for key, number in stage.worker.done if key == "slow"]
    assert handled[-1] == 49
    assert len(handled) < 10


async def test_many_slow_ones_leave_turns_to_the_others(stage: Stage) -> None:
    """Each gets one turn, then who waits longest: nobody two turns before another has one."""
    for number in range(5):
        for key in ("a", "b", "c"):
            await stage.say(key, number)
    stage.worker.slow = {"a", "b", "c"}
    async with stage.working(size=1):
        await eventually(lambda: _holds_at_most(stage, 9))
        stage.worker.go_on.set()
        await eventually(lambda: _is_done(stage))
    assert {key for key, _ in stage.worker.done[:3]} == {"a", "b", "c"}


async def test_what_takes_longer_than_the_broker_waits_is_not_delivered_again(stage: Stage) -> None:
    await stage.wait_for_acks(SHORT_ACK_WAIT_S)
    stage.worker.slow = {"slow"}
    tries: list[list[tuple[str, int]]] = []
    once = [("slow", 1), ("slow", 2)]
    while once not in tries:
        assert len(tries) < TRIES, tries
        stage.worker.begun.clear()
        stage.worker.done.clear()
        stage.worker.go_on.clear()
        await stage.say("slow", 1, 2)
        async with stage.working(said_every_s=SHORT_ACK_WAIT_S / 8):
            await eventually(lambda: stage.worker.begun)
            await let_time_pass(1.5 * SHORT_ACK_WAIT_S)
            stage.worker.go_on.set()
            await eventually(lambda: _is_done(stage))
        tries.append(sorted(stage.worker.done))


async def test_a_failure_is_tried_again_and_a_permanent_one_parked(stage: Stage) -> None:
    stage.worker.failures = {"a": [LogUnavailable("away"), RuntimeError("?")], "b": [CannotApply("never")]}
    await stage.say("a", 1)
    await stage.say("b", 2)
    async with stage.working():
        await eventually(lambda: _is_done(stage))
    assert stage.worker.done == [("a", 1)]
    assert stage.worker.begun.count(("b", 2)) == 1


async def test_what_cannot_be_read_is_tried_again_or_parked_and_others_go_on(stage: Stage) -> None:
    """It reaches no handler, and so not the pool that would answer for it."""
    await stage.say("a", "never")
    await stage.say("b", "not yet")
    await stage.say("c", 3)
    async with stage.working():
        await eventually(lambda: _is_done(stage))
    assert sorted(stage.worker.done) == [("b", 3), ("c", 3)]


async def test_more_keys_than_may_wait_are_left_with_the_broker(stage: Stage) -> None:
    stage.worker.slow = {f"k{number}" for number in range(40)}
    for number in range(40):
        await stage.say(f"k{number}", number)
    async with stage.working(size=2, most_keys=5):
        await eventually(lambda: len(stage.worker.begun) == 2)
        stage.worker.go_on.set()
        await eventually(lambda: len(stage.worker.done) == 40)
        await eventually(lambda: _is_done(stage))


async def test_nothing_more_is_asked_for_while_the_pool_has_no_room(stage: Stage) -> None:
    numbers = range(3 * BATCH)
    stage.worker.slow = {f"k{number}" for number in numbers}
    for number in numbers:
        await stage.say(f"k{number}", number)
    async with stage.working(size=1, most_keys=2):
        await eventually(lambda: stage.worker.begun)
        await let_time_pass(3 * (OPEN_S + LATE_S))
        info = await stage.client.jetstream().consumer_info("WORK", "worker")
        assert info.num_ack_pending == BATCH
        stage.worker.go_on.set()
        await eventually(lambda: _is_done(stage))
    assert {number for _, number in stage.worker.done} == set(numbers)


async def test_who_waits_for_room_at_the_end_is_given_back_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "FINISH_S", 0.1)
    stage.worker.slow = {f"k{number}" for number in range(10)}
    for number in range(10):
        await stage.say(f"k{number}", number)
    async with stage.working(size=1, most_keys=2):
        await eventually(lambda: stage.worker.begun)
    assert stage.worker.done == []
    stage.worker.slow = set()
    async with stage.working():
        await eventually(lambda: _is_done(stage))
    assert {number for _, number in stage.worker.done} == set(range(10))


async def test_at_the_end_what_runs_is_finished_and_what_waits_is_given_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "FINISH_S", PATIENCE_S)
    stage.worker.slow = {"slow"}
    await stage.say("slow", 1, 2)

    async def on_given_back(_: Msg) -> None:
        stage.worker.go_on.set()

    # Not before: else the other one would have its turn.
    given_back = "$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.WORK.worker"
    subscription = await stage.client.subscribe(given_back, cb=on_given_back)
    await stage.client.flush()
    async with stage.working():
        await eventually(lambda: stage.worker.begun)
    await subscription.unsubscribe()
    assert len(stage.worker.done) == 1
    async with stage.working():
        await eventually(lambda: _is_done(stage))
    assert sorted(stage.worker.done) == [("slow", 1), ("slow", 2)]


async def test_a_word_about_a_request_delays_nothing_that_comes_after_it(stage: Stage) -> None:
    """That a request found nothing is said when its time is over, which may be during the next one."""
    # Longer than the test waits: it is not to be helped by another delivery.
    await stage.wait_for_acks(60)
    requests: list[str] = []

    async def on_request(message: Msg) -> None:
        requests.append(message.reply)
        if len(requests) == 1:
            await stage.client.publish(message.reply, headers={"Status": "408"})

    async def took(number: int) -> float:
        said_at = monotonic()
        await stage.say("a", number)
        await eventually(lambda: ("a", number) in stage.worker.done)
        return monotonic() - said_at

    subscription = await stage.client.subscribe("$JS.API.CONSUMER.MSG.NEXT.WORK.worker", cb=on_request)
    second: list[float] = []
    # The best of them counts: on a busy machine anything may take longer.
    while not any(each < 0.5 for each in second):
        assert len(second) < TRIES, second
        number = 2 * len(second)
        requests.clear()
        async with stage.working():
            await eventually(lambda: len(requests) >= 2)
            await took(number)
            second.append(await took(number + 1))
    await subscription.unsubscribe()


async def _is_done(stage: Stage) -> bool:
    return await stage.unacknowledged() == 0


async def _holds_at_most(stage: Stage, number: int) -> bool:
    return await stage.unacknowledged() <= number
