"""A router that was taken out, and is named again, joins again while it runs, on the real log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from libs.common.events.envelope import Recorded
from libs.common.events.router import LeaveReason, RouterJoined, RouterLeft, RouterNamed
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import Appended
from libs.common.runtime import Progress
from libs.common.state.router import EVERY_ROUTER
from services.router.follower import Follower
from services.router.joining import join, say_who_is_named, stay_joined
from services.router.xds.cache import Cache
from services.router.xds.listener import make_listener
from services.router.xds.types import Packed
from tests.support.endless import running
from tests.support.polling import eventually

SECOND = "router-2"
ALONE, BOTH = frozenset({"router"}), frozenset({"router", SECOND})
LEFT = RouterLeft(reason=LeaveReason.TAKEN_OUT)


class LateAnswers:
    """A log whose appends are answered when the follower of whoever appends has heard of more events."""

    def __init__(self, log: JetStreamLog) -> None:
        self._log = log
        self.follower: Follower | None = None
        self.more = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, *args: Any, **kwargs: Any) -> Appended:
        appended = await self._log.append(*args, **kwargs)
        until = appended.sequence + self.more
        await eventually(lambda: self.follower is None or self.follower.views.sequence >= until)
        return appended


class Second:
    """The second router, as far as it says that it is there."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.progress = Progress()
        cache = Cache(Packed.of(make_listener(8081, upload_deadline_s=600)))
        self.follower = Follower(log, cache, self.progress, router=SECOND)

    async def serve(self) -> None:
        await join(self._log, self.follower, self.progress, SECOND)
        self.progress.is_ready = True
        await stay_joined(self._log, self.follower, self.progress, SECOND)

    @property
    def is_out(self) -> bool:
        return SECOND in self.progress.problem and not self.progress.is_ready

    @property
    def is_in(self) -> bool:
        return self.progress.is_ready and not self.progress.problem and self.follower.has_joined(SECOND)


@asynccontextmanager
async def first_naming(log: JetStreamLog, routers: frozenset[str]) -> AsyncIterator[None]:
    """The first router, started with these."""
    cache = Cache(Packed.of(make_listener(8082, upload_deadline_s=600)))
    follower = Follower(log, cache, Progress())
    async with running(follower.run()):
        await join(log, follower, Progress(), "router")
        async with running(say_who_is_named(log, follower, routers)):
            yield


async def said(log: JetStreamLog) -> list[Any]:
    events: list[Recorded] = [event async for event in log.read(EVERY_ROUTER)]
    assert {event.aggregate.id for event in events} == {SECOND}
    return [event.fact for event in events]


@pytest.fixture
def late(jetstream_log: JetStreamLog) -> LateAnswers:
    return LateAnswers(jetstream_log)


async def test_one_that_runs_and_is_named_again(jetstream_log: JetStreamLog) -> None:
    second = Second(jetstream_log)
    async with running(second.follower.run(), second.serve()):
        await eventually(lambda: second.is_in)
        async with first_naming(jetstream_log, ALONE):
            await eventually(lambda: second.is_out)
        async with first_naming(jetstream_log, BOTH):
            await eventually(lambda: second.is_in)
        async with first_naming(jetstream_log, BOTH):
            await eventually(lambda: second.is_in)
    assert await said(jetstream_log) == [RouterJoined(), LEFT, RouterNamed(), RouterJoined()]


async def test_one_taken_out_before_it_knows_that_it_joined(
    jetstream_log: JetStreamLog, late: LateAnswers
) -> None:
    second = Second(late)
    late.follower, late.more = second.follower, 1
    async with running(second.follower.run(), second.serve()):
        async with first_naming(jetstream_log, ALONE):
            await eventually(lambda: second.is_out)
        late.more = 0
        async with first_naming(jetstream_log, BOTH):
            await eventually(lambda: second.is_in)
    assert await said(jetstream_log) == [RouterJoined(), LEFT, RouterNamed(), RouterJoined()]


async def test_one_that_starts_though_nobody_names_it_says_so_once(jetstream_log: JetStreamLog) -> None:
    async with first_naming(jetstream_log, ALONE):
        for _ in range(2):
            second = Second(jetstream_log)
            async with running(second.follower.run(), second.serve()):
                await eventually(lambda second=second: second.is_out)
    assert await said(jetstream_log) == [RouterJoined(), LEFT] * 2


async def test_one_that_was_named_while_it_was_away(jetstream_log: JetStreamLog) -> None:
    await joins(jetstream_log)
    for routers in (ALONE, BOTH):
        before = len(await said(jetstream_log))
        async with first_naming(jetstream_log, routers):
            await eventually(lambda before=before: has_said(jetstream_log, before + 1))
    await joins(jetstream_log)
    assert await said(jetstream_log) == [RouterJoined(), LEFT, RouterNamed(), RouterJoined()]


async def joins(log: JetStreamLog) -> None:
    second = Second(log)
    async with running(second.follower.run(), second.serve()):
        await eventually(lambda: second.is_in)


async def has_said(log: JetStreamLog, number: int) -> bool:
    return len(await said(log)) == number
