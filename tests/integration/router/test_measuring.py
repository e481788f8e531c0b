"""What Envoy counts, as the router publishes it, against what a client and its replicas counted."""

import asyncio
import signal

import httpx
import pytest

from libs.common.clock import monotonic
from services.router.routing import Route, Routing
from tests.support.measured import call, counts, play, until_cancelled
from tests.support.plain_http import plain_client
from tests.support.polling import eventually, let_time_pass
from tests.support.routed import a_served, answer_with
from tests.support.upstream import upstreams

SOON_S = 6.0


async def leave_before_an_answer(client, deployment, replica):
    """The client goes while the replica has its request."""
    asked = len(replica.asked)
    waiting = asyncio.ensure_future(call(client, deployment, "/never"))
    await eventually(lambda: len(replica.asked) > asked)
    await until_cancelled(waiting)


async def held(measured):
    """Names of the counters of requests that Envoy has."""
    async with measured.envoy.admin() as admin:
        text = (await admin.get("/stats?filter=^requests")).text
    return [line.partition(": ")[0] for line in text.splitlines() if line.startswith("requests")]


async def test_totals_are_what_the_client_counted(measured, published):
    async with upstreams("r1") as (replica,), plain_client(base_url=measured.base_url) as client:
        replica.behaviour = play
        began = monotonic()
        deployment = await a_served(measured, replica)
        answered = 1 + 7 + 2 + 3 + 1  # `a_served` asked once
        for path, times in (("/", 7), ("/error", 2), ("/missing", 3), ("/slow", 1)):
            for _ in range(times):
                await call(client, deployment, path)
        # Cut in the middle of the answer: answered, for as long as it lasted.
        with pytest.raises(httpx.RemoteProtocolError):
            await call(client, deployment, "/half")
        answered += 1
        # Nothing is sent again of a POST that a replica was sent.
        assert (await call(client, deployment, "/break", "POST")).status_code == 503
        await leave_before_an_answer(client, deployment, replica)
        # No deployment at all, and one whose host is written in capitals.
        assert (await client.get("/", headers={"host": "nobody.localhost"})).status_code == 404
        await client.get("/", headers={"host": deployment.host.upper()})
        answered += 1
        await counts(published, deployment, answered=answered, unanswered=2, server_errors=2)
        found = published.of(deployment.deployment_id)
        assert 550_000 <= found["duration_us"] <= (monotonic() - began) * 1_000_000
        assert not published.falls


async def test_a_retried_request_is_one_request(measured, published):
    async with upstreams("r1", "r2") as (broken, good), plain_client(base_url=measured.base_url) as client:
        deployment = await a_served(measured, broken, good)
        asked_before = len(broken.asked) + len(good.asked)

        async def break_off(_upstream, _asked, writer):
            writer.transport.abort()

        broken.behaviour = break_off
        for _ in range(10):
            assert (await call(client, deployment)).status_code == 200
        assert len(broken.asked) + len(good.asked) > asked_before + 10
        await counts(published, deployment, answered=asked_before + 10, unanswered=0, server_errors=0)


async def test_an_upgrade_that_is_refused_was_answered(measured, published):
    async with upstreams("r1") as (replica,), plain_client(base_url=measured.base_url) as client:
        replica.behaviour = play
        deployment = await a_served(measured, replica)
        headers = {"host": deployment.host, "connection": "upgrade", "upgrade": "websocket"}
        for path, status in (("/", 502), ("/moved", 302), ("/missing", 404)):
            assert (await client.get(path, headers=headers)).status_code == status
        await counts(published, deployment, answered=4, unanswered=0)


async def test_hints_before_an_answer_are_none(measured, published):
    async with upstreams("r1") as (replica,), plain_client(base_url=measured.base_url) as client:
        replica.behaviour = play
        deployment = await a_served(measured, replica)
        asked = len(replica.asked)
        waiting = asyncio.ensure_future(call(client, deployment, "/early"))
        await eventually(lambda: len(replica.asked) > asked)
        await let_time_pass(0.2)
        await until_cancelled(waiting)
        await counts(published, deployment, answered=1, unanswered=1)


async def test_a_label_is_never_a_clients(measured):
    async with upstreams("r1") as (replica,), plain_client(base_url=measured.base_url) as client:
        deployment = await a_served(measured, replica)
        for number in range(20):
            name = f"evil{number}"
            headers = {"host": f"d{name}.localhost", "x-specstream-deployment": name, "user-agent": name}
            await client.get(f"/{name}", headers=headers)
            headers["host"] = deployment.host
            await client.request("BREW", f"/{name}", headers=headers)
        names = await held(measured)
    labels = {name.partition(".of.")[2].partition(",")[0] for name in names}
    assert labels == {"", deployment.deployment_id}


async def test_a_request_that_is_cut_leaves_no_line_in_envoys_log(measured, published):
    async with upstreams("r1") as (replica,), plain_client(base_url=measured.base_url) as client:
        replica.behaviour = play
        deployment = await a_served(measured, replica)
        await leave_before_an_answer(client, deployment, replica)
        await counts(published, deployment, answered=1, unanswered=1)
    assert "non-number" not in measured.envoy.log.read_text()


async def test_a_restarted_router_costs_no_count(measured, published):
    async with upstreams("r1") as (replica,), plain_client(base_url=measured.base_url) as client:
        deployment = await a_served(measured, replica)
        await call(client, deployment)
        await counts(published, deployment, answered=2)
        await measured.stop_router()
        for _ in range(5):
            await call(client, deployment)
        await measured.start_router()
        await call(client, deployment)
        await counts(published, deployment, answered=8, unanswered=0)
        assert not published.falls
        assert len(published.starts) == 1


@pytest.mark.parametrize("measured", [SOON_S], indirect=True)
async def test_eviction_loses_no_count_also_over_a_restarted_router(measured, published):
    async with upstreams("r1") as (replica,), plain_client(base_url=measured.base_url) as client:
        replica.behaviour = play
        deployment = await a_served(measured, replica)
        assert (await call(client, deployment, "/break", "POST")).status_code == 503
        expected = 1
        for is_router_restarted in (False, True, False):
            await call(client, deployment)
            expected += 1
            await counts(published, deployment, answered=expected, unanswered=1)

            async def is_evicted():
                return not [name for name in await held(measured) if deployment.deployment_id in name]

            await eventually(is_evicted)
            # A drop and a call between a look and the push after it cannot be told from none.
            dropped_at = monotonic()
            await eventually(lambda dropped_at=dropped_at: has_looked(measured, since=dropped_at))
            if is_router_restarted:
                await measured.stop_router()
                await measured.start_router()
        await call(client, deployment)
        await counts(published, deployment, answered=expected + 1, unanswered=1)
        assert not published.falls


async def test_a_new_envoy_counts_from_0_under_another_start(measured, published):
    async with upstreams("r1") as (replica,), plain_client(base_url=measured.base_url) as client:
        deployment = await a_served(measured, replica)
        await call(client, deployment)
        await counts(published, deployment, answered=2)
        first = measured.envoy.start_id
        await measured.envoy.stop(signal.SIGTERM)
        await measured.envoy.start()
        await eventually(measured.is_listening, because="Envoy never opened its listener")
        await answer_with(client, deployment, 200)
        await counts(published, deployment, answered=3)
        assert published.starts == {first, measured.envoy.start_id}
        assert not published.falls


def has_looked(measured, *, since):
    """Whether the router has looked at all counters since then, and taken in what it saw."""
    counts_ = measured.router.counts
    return counts_._seen is None and counts_._looked_at is not None and counts_._looked_at > since


@pytest.mark.parametrize("measured", [SOON_S], indirect=True)
async def test_a_deleted_deployment_leaves_nothing(measured, published):
    async with upstreams("r1", "r2") as (replica, other), plain_client(base_url=measured.base_url) as client:
        deployment = await a_served(measured, replica)
        stays = await a_served(measured, other)
        await counts(published, deployment, answered=1)
        await deployment.delete()
        await deployment.removed()
        await answer_with(client, deployment, 404)

        async def is_gone():
            return not [name for name in await held(measured) if deployment.deployment_id in name]

        await eventually(is_gone)
        begun = len(published.requests)
        await eventually(lambda: len(published.requests) >= begun + 3)
        await measured.stop_router()
        await measured.start_router()
        begun = len(published.requests)

        def whole():
            return next((batch for batch in published.requests[begun:] if batch.is_whole), None)

        await eventually(whole)
        assert [one.deployment_id for one in whole().requests] == [stays.deployment_id]


async def test_10_000_silent_deployments_send_nothing(measured, published):
    async with upstreams("r1") as (replica,):
        served = await a_served(measured, replica)
        for number in range(10_000):
            measured.router.cache.put(Routing(f"{number:032x}", Route("spec-1")))
        await eventually(
            lambda: all(
                session.has_acknowledged(f"{9_999:032x}") and session.pending_since() is None
                for session in measured.router.cache.sessions
            )
        )
        begun = len(published.requests)
        await eventually(lambda: len(published.requests) >= begun + 3)
        assert {one.deployment_id for batch in published.requests for one in batch.requests} == {
            served.deployment_id
        }
        assert not [name for name in await held(measured) if ".of.0000" in name]
