import asyncio
from datetime import timedelta

from libs.common.clock import monotonic, utc_now
from libs.common.events.envelope import select
from libs.common.events.rollout import RetireReason
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from tests.support.callers import callers
from tests.support.polling import eventually
from tests.support.routed import Skipping, a_served, answer_with, answered_by
from tests.support.upstream import Asked, Upstream, echo, plain, upstreams


class Held:
    """A replica whose answers to `/slow` wait until `release`; it answers everything else at once."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.entered = asyncio.Event()

    async def __call__(self, upstream: Upstream, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.path != "/slow":
            await echo(upstream, asked, writer)
            return
        self.entered.set()
        await self.release.wait()
        writer.write(plain("200 OK", upstream.name.encode()))


async def test_an_idle_replica_is_withdrawn(routed, client):
    async with upstreams("r1", "r2") as (old, new):
        deployment = await a_served(routed, old)
        await deployment.ready("r2", new.address, run_id="run-2", spec_id="spec-2")
        await deployment.retire("r1")
        await is_withdrawn(deployment, "r1")
        assert {await answered_by(client, deployment) for _ in range(6)} == {"r2"}
    assert [fact.reason for fact in await withdrawals(deployment)] == [WithdrawReason.IDLE]


async def test_a_slow_answer_is_finished_before_its_replica_is_withdrawn(routed, client):
    async with upstreams("r1", "r2") as (old, new):
        deployment = await a_served(routed, old)
        old.behaviour = held = Held()
        slow = asyncio.ensure_future(client.post("/slow", headers={"host": deployment.host}))
        await held.entered.wait()
        await deployment.ready("r2", new.address)
        await deployment.retire("r1")
        await eventually(lambda: drain_of(routed, deployment, "r1").active_requests == 1)
        # Ten looks at a busy replica, a second of them.
        assert {await answered_by(client, deployment) for _ in range(20)} == {"r2"}
        assert await deployment.withdrawn() == frozenset()
        held.release.set()
        assert (await slow).text == "r1"
        await is_withdrawn(deployment, "r1")
    assert [fact.reason for fact in await withdrawals(deployment)] == [WithdrawReason.IDLE]


async def test_what_was_tried_again_is_finished_too(routed, client):
    """It runs on the connections of the second cluster."""
    held = Held()

    async def break_off_once(upstream: Upstream, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if sum(one.path == "/slow" for one in upstream.asked) == 1:
            writer.transport.abort()
        else:
            await held(upstream, asked, writer)

    async with upstreams("r1") as (old,):
        deployment = await a_served(routed, old)
        old.behaviour = break_off_once
        slow = asyncio.ensure_future(client.get("/slow", headers={"host": deployment.host}))
        await held.entered.wait()
        await deployment.retire("r1")
        await eventually(lambda: drain_of(routed, deployment, "r1").active_requests == 1)
        assert await deployment.withdrawn() == frozenset()
        held.release.set()
        assert (await slow).text == "r1"
        await is_withdrawn(deployment, "r1")


async def test_a_busy_replica_is_withdrawn_at_the_deadline_and_what_is_cut_is_counted(routed, client):
    routed.ticks = clock = Skipping()
    await routed.stop_router()
    await routed.start_router()
    async with upstreams("r1", "r2") as (old, new):
        deployment = await a_served(routed, old)
        old.behaviour = held = Held()
        slow = asyncio.ensure_future(client.post("/slow", headers={"host": deployment.host}))
        await held.entered.wait()
        await deployment.ready("r2", new.address)
        await deployment.retire("r1")
        # What is cut is what was last seen, however long Envoy takes to say it.
        await eventually(lambda: drain_of(routed, deployment, "r1").active_requests == 1)
        assert await deployment.withdrawn() == frozenset()
        clock.skipped_s += routed.deadline_s
        await is_withdrawn(deployment, "r1")
        held.release.set()
        await slow
    (fact,) = await withdrawals(deployment)
    assert (fact.reason, fact.active_requests) == (WithdrawReason.DEADLINE, 1)


async def test_a_step_of_the_wall_clock_cuts_no_request(routed, client):
    hours = 0
    routed.clock = lambda: utc_now() + timedelta(hours=hours)
    await routed.stop_router()
    await routed.start_router()
    async with upstreams("r1", "r2") as (old, new):
        deployment = await a_served(routed, old)
        old.behaviour = held = Held()
        slow = asyncio.ensure_future(client.post("/slow", headers={"host": deployment.host}))
        await held.entered.wait()
        await deployment.ready("r2", new.address)
        await deployment.retire("r1")
        for hours in (1, -1, 48):  # noqa: B007 - the clock reads it
            for _ in range(3):
                await routed.router.drains.tick()
            assert await deployment.withdrawn() == frozenset()
        held.release.set()
        assert (await slow).text == "r1"
        await is_withdrawn(deployment, "r1")
    assert [fact.reason for fact in await withdrawals(deployment)] == [WithdrawReason.IDLE]


async def test_a_replica_that_is_no_longer_ready_finishes_what_it_runs(routed, client):
    async with upstreams("r1", "r2") as (old, new):
        deployment = await a_served(routed, old)
        old.behaviour = held = Held()
        slow = asyncio.ensure_future(client.post("/slow", headers={"host": deployment.host}))
        await held.entered.wait()
        await deployment.ready("r2", new.address)
        await deployment.unready("r1")
        await deployment.retire("r1")
        await eventually(lambda: drain_of(routed, deployment, "r1").active_requests == 1)
        assert await deployment.withdrawn() == frozenset()
        held.release.set()
        assert (await slow).text == "r1"
        await is_withdrawn(deployment, "r1")


async def test_a_replica_that_never_served_is_withdrawn(routed):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        await deployment.starting("r2", "127.0.0.1:1")
        await deployment.retire("r2", "never-listed", reason=RetireReason.SCALED_DOWN)
        await is_withdrawn(deployment, "r2", "never-listed")


async def test_when_all_leave_the_last_answers_still_come(routed, client):
    async with upstreams("r1", "r2") as both:
        deployment = await a_served(routed, *both)
        held = Held()
        for upstream in both:
            upstream.behaviour = held
        slow = [
            asyncio.ensure_future(client.post("/slow", headers={"host": deployment.host})) for _ in range(2)
        ]
        await eventually(lambda: all(any(a.method == "POST" for a in u.asked) for u in both))
        await deployment.register(spec_id="spec-2", enabled=False)
        await answer_with(client, deployment, 404)
        await deployment.retire("r1", "r2", reason=RetireReason.DISABLED)
        await eventually(lambda: drain_of(routed, deployment, "r2").active_requests == 1)
        assert await deployment.withdrawn() == frozenset()
        held.release.set()
        assert sorted(one.text for one in await asyncio.gather(*slow)) == ["r1", "r2"]
        await is_withdrawn(deployment, "r1", "r2")


async def test_a_deleted_deployment_drains_too(routed, client):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        upstream.behaviour = held = Held()
        slow = asyncio.ensure_future(client.post("/slow", headers={"host": deployment.host}))
        await held.entered.wait()
        await deployment.delete()
        await answer_with(client, deployment, 404)
        await deployment.retire("r1", reason=RetireReason.DELETED)
        await eventually(lambda: drain_of(routed, deployment, "r1").active_requests == 1)
        held.release.set()
        assert (await slow).status_code == 200
        await is_withdrawn(deployment, "r1")


async def test_without_an_envoy_nothing_is_withdrawn(routed):
    async with upstreams("r1", "r2") as (old, new):
        deployment = await a_served(routed, old)
        await routed.envoy.stop()
        await eventually(lambda: not routed.router.cache.sessions)
        await deployment.ready("r2", new.address)
        await deployment.retire("r1")
        for _ in range(3):
            await routed.router.drains.tick()
        assert await deployment.withdrawn() == frozenset()
        await routed.envoy.start()
        await is_withdrawn(deployment, "r1")


async def test_after_a_restart_the_router_waits_for_envoys_that_may_still_come(routed):
    async with upstreams("r1", "r2") as (old, new):
        deployment = await a_served(routed, old)
        await deployment.ready("r2", new.address)
        routed.settle_s = 1.0
        await routed.stop_router()
        await deployment.retire("r1")
        router = await routed.start_router()
        started = router.server.unsettled_at
        await is_withdrawn(deployment, "r1")
        assert monotonic() - started >= routed.settle_s


async def test_what_was_withdrawn_and_still_exists_stays_withdrawn(routed):
    async with upstreams("r1", "r2", "r3") as (one, two, three):
        deployment = await a_served(routed, one, two, three)
        await deployment.retire("r1")
        await is_withdrawn(deployment, "r1")
        await deployment.retire("r1", "r2")
        await is_withdrawn(deployment, "r1", "r2")
        await deployment.stopped("r1")
        await deployment.retire("r2", "r3")
        await is_withdrawn(deployment, "r2", "r3")


async def test_a_rolling_update_under_load_loses_no_call(routed):
    async with upstreams("r1", "r2", "r3", "r4") as (one, two, three, four):
        deployment = await a_served(routed, one, two)
        async with callers(routed.base_url, deployment.host) as calls:
            await eventually(lambda: calls.count > 200)
            await deployment.ready("r3", three.address, run_id="run-2")
            await deployment.ready("r4", four.address, run_id="run-2")
            await deployment.retire("r1", "r2")
            await is_withdrawn(deployment, "r1", "r2")
            await one.die()
            await two.die()
            for replica_id in ("r1", "r2"):
                await deployment.stopped(replica_id)
            seen = calls.count
            await eventually(lambda: calls.count > seen + 200)
    assert calls.failed == 0, (calls.answered, calls.broken)


async def is_withdrawn(deployment, *replica_ids):
    async def has_them():
        return await deployment.withdrawn() == frozenset(replica_ids)

    await eventually(has_them, because=f"{replica_ids} were never withdrawn")


async def withdrawals(deployment) -> list[EndpointsWithdrawn]:
    filter_ = select(aggregate_id=deployment.deployment_id, event_type="EndpointsWithdrawn")
    return [event.fact async for event in deployment.log.read(filter_)]


def drain_of(routed, deployment, replica_id):
    return routed.router.drains.progress(deployment.deployment_id, replica_id)
