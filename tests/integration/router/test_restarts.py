import asyncio

from libs.common.log.memory import MemoryLog
from tests.support.callers import callers
from tests.support.free_ports import free_port
from tests.support.plain_http import plain_client
from tests.support.polling import eventually
from tests.support.routed import Routed, a_served, answer_with, answered_by
from tests.support.upstream import upstreams


async def test_envoy_serves_without_a_router(routed):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        async with callers(routed.base_url, deployment.host) as calls:
            await routed.stop_router()
            seen = calls.count
            await eventually(lambda: calls.count > seen + 300)
    assert calls.failed == 0, (calls.answered, calls.broken)


async def test_a_router_that_starts_again_resends_nothing_and_loses_no_call(routed):
    async with upstreams("r1", "r2") as (one, two):
        first, second = await a_served(routed, one), await a_served(routed, two)
        async with callers(routed.base_url, first.host) as calls:
            await routed.stop_router()
            before = await control_plane_updates(routed)
            assert before
            router = await routed.start_router()
            await eventually(lambda: router.cache.sessions and router.cache.sessions[0].is_serving)
            await eventually(lambda: routed.is_current(first) and routed.is_current(second))
            seen = calls.count
            await eventually(lambda: calls.count > seen + 100)
            assert await control_plane_updates(routed) == before
    assert calls.failed == 0, (calls.answered, calls.broken)


async def test_what_changed_while_the_router_was_away_is_told_when_it_is_back(routed, client):
    async with upstreams("r1", "r2", "r3") as (one, two, three):
        changed, deleted, kept = [await a_served(routed, u) for u in (one, two, three)]
        await routed.stop_router()
        await changed.register(spec_id="spec-2", enabled=False)
        await deleted.delete()
        await deleted.stopped("r2")
        await deleted.removed()
        assert await answered_by(client, deleted) == "r2"
        await routed.start_router()
        await answer_with(client, changed, 404)
        await answer_with(client, deleted, 404)
        assert await answered_by(client, kept) == "r3"


async def test_an_envoy_that_starts_again_knows_every_deployment_when_it_listens(routed):
    async with upstreams("r1") as (upstream,):
        deployments = [await a_served(routed, upstream) for _ in range(20)]
        for _ in range(3):
            await routed.envoy.stop()
            await routed.envoy.start()
            await eventually(routed.is_listening, every_s=0.001)
            async with plain_client(base_url=routed.base_url) as client:
                for deployment in deployments:
                    assert await answered_by(client, deployment) == "r1"


async def test_envoy_and_router_may_start_in_any_order(envoy):
    setup = Routed(MemoryLog(), envoy, free_port())
    async with upstreams("r1") as (upstream,):
        try:
            await envoy.start()
            await setup.start_router()
            await eventually(setup.is_listening)
            await a_served(setup, upstream)
        finally:
            await envoy.stop()
            await setup.stop_router()


async def test_a_refused_resource_stops_neither_its_neighbours_nor_the_router(routed):
    async with upstreams("r1") as (upstream,):
        bad = routed.deployment()
        await bad.create()
        await bad.ready("r0", "not-an-address:80")
        await a_served(routed, upstream)
        await routed.envoy.stop()
        await routed.envoy.start()
        await eventually(routed.is_listening)
        good = await a_served(routed, upstream)
        await eventually(lambda: routed.is_current(good))


async def test_the_heartbeat_tells_how_envoy_is(routed):
    def detail():
        routed.router.status.tick()
        return routed.router.progress.detail

    await eventually(lambda: detail()["envoy_acknowledged"])
    assert detail()["envoys"] == 1
    assert detail()["envoy_acknowledged_at"].endswith("Z")
    await routed.envoy.stop()
    await eventually(lambda: detail()["envoys"] == 0)
    assert detail()["envoy_acknowledged"] is False


async def test_an_envoy_whose_port_is_taken_is_not_said_to_be_ready(routed):
    await routed.envoy.stop()
    await eventually(lambda: not routed.router.cache.sessions)
    async with upstreams("squatter") as (squatter,):
        await squatter.die()
        squatter.port = routed.edge_port
        await squatter.start()
        await routed.envoy.start()

        def detail():
            routed.router.status.tick()
            return routed.router.progress.detail

        await eventually(lambda: detail()["envoys"] == 1)
        await eventually(lambda: routed.router.cache.sessions[0].acknowledged_at)
        assert detail()["envoy_acknowledged"] is False
        await eventually(lambda: "Address already in use" in detail()["envoy_problem"])


async def test_a_replica_that_has_taken_the_port_can_be_made_to_leave_and_the_port_is_had_again(routed):
    """No Envoy can send it anything, so that nothing has to be waited for but the deadline."""
    await routed.with_deadline(seconds=0.5)
    async with upstreams("thief", "other") as (thief, other):
        deployment = await a_served(routed, thief)
        neighbour = await a_served(routed, other)
        await routed.envoy.stop()
        await thief.die()
        thief.port = routed.edge_port
        await thief.start()
        await routed.envoy.start()
        keeping_on = asyncio.ensure_future(routed.router.status.run())
        try:
            await eventually(lambda: [s.listener_refusal for s in routed.router.cache.sessions] > [""])
            await deployment.retire("thief")
            await eventually(deployment.withdrawn)
            await thief.die()
            async with plain_client(base_url=routed.base_url) as client:
                await eventually(routed.is_listening)
                await answer_with(client, neighbour, 200)
                assert await answered_by(client, neighbour) == "other"
            await eventually(lambda: routed.router.progress.detail["envoy_problem"] == "")
        finally:
            keeping_on.cancel()
            await asyncio.gather(keeping_on, return_exceptions=True)


async def control_plane_updates(routed):
    """How often Envoy has taken in a change of a cluster or a listener."""
    async with routed.envoy.admin() as client:
        stats = await client.get("/stats", params={"format": "json"})
    counted = ("cluster_added", "cluster_modified", "cluster_removed", "listener_modified", "listener_added")
    return {
        stat["name"]: stat["value"]
        for stat in stats.json()["stats"]
        if stat.get("name", "").rpartition(".")[2] in counted
    }
