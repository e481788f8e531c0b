"""A router besides the first one says that it has joined before its Envoy is told anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from libs.common.events.router import LeaveReason, RouterJoined, RouterLeft
from libs.common.log.memory import MemoryLog
from libs.common.runtime import Progress
from libs.common.state.router import EVERY_ROUTER
from services.router.follower import Follower
from services.router.joining import join, say_who_is_named, stay_joined
from services.router.withdrawal import withdraw
from services.router.xds.cache import Cache
from services.router.xds.listener import make_listener
from services.router.xds.types import Packed
from tests.support.deployments import Storyteller
from tests.support.polling import eventually, let_others_run

LEFT = RouterLeft(reason=LeaveReason.TAKEN_OUT)


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@asynccontextmanager
async def following(log: MemoryLog, router: str) -> AsyncIterator[Follower]:
    cache = Cache(Packed.of(make_listener(8081, upload_deadline_s=600)))
    follower = Follower(log, cache, Progress(), router=router)
    async with running(follower.run()):
        yield follower


@asynccontextmanager
async def running(work) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def said(log: MemoryLog) -> list[tuple[str, object]]:
    return [(event.aggregate.id, event.fact) async for event in log.read(EVERY_ROUTER)]


async def test_the_first_router_says_nothing(log):
    async with following(log, "router") as follower:
        await join(log, follower, Progress(), "router")
    assert await log.last_sequence() == 0


async def test_another_one_joins_once_and_knows_then_what_was_to_leave_before(log):
    story = Storyteller(log)
    await story.create(replicas=2)
    await story.ready("r1", "127.0.0.1:20001")
    await story.ready("r2", "127.0.0.1:20002")
    for _ in range(2):
        async with following(log, "router-2") as follower:
            await join(log, follower, Progress(), "router-2")
            assert follower.joined == {"router", "router-2"}
            assert follower.views.sequence == await log.last_sequence()
    assert await said(log) == [("router-2", RouterJoined())]


async def test_two_join_at_the_same_time(log):
    async with following(log, "router-2") as one, following(log, "router-3") as other:
        await asyncio.gather(join(log, one, Progress(), "router-2"), join(log, other, Progress(), "router-3"))
        await eventually(lambda: one.joined == {"router", "router-2", "router-3"} == other.joined)


async def test_the_first_one_takes_out_whom_the_settings_name_no_longer(log):
    async with following(log, "router-2") as two, following(log, "router-3") as three:
        await join(log, two, Progress(), "router-2")
        await join(log, three, Progress(), "router-3")
    async with following(log, "router") as follower:
        await join(log, follower, Progress(), "router")
        async with running(say_who_is_named(log, follower, frozenset({"router", "router-2"}))):
            await eventually(lambda: follower.joined == {"router", "router-2"})
            await let_others_run()
    assert (await said(log))[2:] == [("router-3", LEFT)]
    async with following(log, "router-3") as three:
        await join(log, three, Progress(), "router-3")
    assert (await said(log))[3:] == [("router-3", RouterJoined())]


async def test_one_that_goes_on_though_it_was_taken_out_says_so(log):
    progress = Progress(is_ready=True)
    async with following(log, "router-2") as two, following(log, "router") as first:
        await join(log, two, Progress(), "router-2")
        await join(log, first, Progress(), "router")
        async with (
            running(stay_joined(log, two, progress, "router-2")),
            running(say_who_is_named(log, first, frozenset({"router"}))),
        ):
            await eventually(lambda: progress.problem)
    assert not progress.is_ready
    assert "router-2" in progress.problem


async def test_a_router_minds_its_own_withdrawals_alone(log):
    story = Storyteller(log)
    await story.create(replicas=1)
    await story.ready("r1", "127.0.0.1:20001")
    await story.retire("r1")
    async with following(log, "router") as first, following(log, "router-2") as second:
        await eventually(lambda: first.draining and second.draining)
        view = first.views.by_id[story.deployment_id]
        await withdraw(log, view, ["r1"], "idle", active_requests=0, router="router")
        await eventually(lambda: not first.draining)
        assert second.draining
        await withdraw(log, view, ["r1"], "idle", active_requests=0, router="router-2")
        await eventually(lambda: not second.draining)


async def test_of_two_that_withdraw_at_once_both_are_heard(log):
    story = Storyteller(log)
    await story.create(replicas=3)
    await story.ready("r1", "127.0.0.1:20001")
    await story.retire("r1")
    view = await story.view()
    routers = ("router", "router-2", "router-3")
    await asyncio.gather(
        *(withdraw(log, view, ["r1"], "idle", active_requests=0, router=router) for router in routers)
    )
    for router in routers:
        assert await story.withdrawn(by=router) == {"r1"}
