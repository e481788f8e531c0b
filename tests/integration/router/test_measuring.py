"""What Envoy counts, as the router publishes it, against what a client and its replicas counted."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from libs.common.clock import monotonic
from libs.common.events.deployment import SpecRegistered
from libs.common.log.memory import MemoryLog
from libs.common.metrics.port import MemorySamples
from libs.common.spec.model import Autoscaling, ScalingConcurrency
from services.router.measuring.requests import Rhythm
from services.router.routing import Route, Routing
from tests.support.deployments import a_spec
from tests.support.envoy import EnvoyProcess
from tests.support.free_ports import free_port
from tests.support.measured import Published, until_cancelled
from tests.support.plain_http import plain_client
from tests.support.polling import eventually
from tests.support.routed import Routed, a_served, answer_with
from tests.support.upstream import CRLF, plain, upstreams

SWEPT_S = 600.0
"""As the platform has it: longer than a machine makes anything stand still."""
SOON_S = 6.0


@pytest.fixture
async def measured(request: pytest.FixtureRequest, envoy: EnvoyProcess) -> AsyncIterator[Routed]:
    """Like `routed`, with an Envoy that pushes each second. Its parameter: how often it sweeps, in seconds,
    and forgets what was silent between two sweeps."""
    sweep_s = getattr(request, "param", SWEPT_S)
    rhythm = Rhythm(push_s=1.0, sweep_s=sweep_s, look_s=1.5)
    setup = Routed(MemoryLog(), envoy, free_port(), samples=MemorySamples(), rhythm=rhythm)
    envoy.flush_interval, envoy.eviction_interval = "1s", f"{sweep_s:.0f}s"
    await setup.start_router()
    await envoy.start()
    await eventually(setup.is_listening, because="Envoy never opened its listener")
    yield setup
    await envoy.stop()
    await setup.stop_router()


@pytest.fixture
async def published(measured: Routed) -> AsyncIterator[Published]:
    assert isinstance(measured.samples, MemorySamples)
    published = Published(measured.samples)
    task = asyncio.ensure_future(published.run())
    yield published
    await until_cancelled(task)


async def lasting(seconds=None):
    """As long as a replica takes for its answer. None: until it is cut."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


async def play(_, asked, writer):
    """Does as the path asks."""
    match asked.path.strip("/"):
        case "error":
            writer.write(plain("503 Service Unavailable", b"busy"))
        case "missing":
            writer.write(plain("404 Not Found", b"?"))
        case "break":
            writer.transport.abort()
        case "half":
            writer.write(b"HTTP/1.1 200 OK" + CRLF + b"content-length: 100" + CRLF + CRLF + b"half")
            await writer.drain()
            await lasting(0.3)
            writer.transport.abort()
        case "never":
            await lasting()
        case "slow":
            await lasting(0.25)
            writer.write(plain("200 OK", b"slow"))
        case "upgrade":
            writer.write(b"HTTP/1.1 101 Switching Protocols" + CRLF + b"upgrade: websocket" + CRLF)
            writer.write(b"connection: upgrade" + CRLF + CRLF)
            await writer.drain()
            await lasting()
        case _:
            writer.write(plain("200 OK", b"ok"))


async def counts(published, deployment, **wanted):
    """Until exactly this is published."""

    def are_there():
        found = published.of(deployment.deployment_id)
        assert all(found[name] <= value for name, value in wanted.items()), (found, wanted)
        return all(found[name] == value for name, value in wanted.items())

    try:
        await eventually(are_there)
    except AssertionError:
        raise AssertionError(f"{published.of(deployment.deployment_id)} never became {wanted}") from None


async def call(client, deployment, path="/", method="GET", **options):
    return await client.request(method, path, headers={"host": deployment.host}, **options)


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


async def test_a_silent_stream_is_in_flight_where_a_policy_needs_to_know(measured, published):
    async with upstreams("r1") as (replica,), plain_client(base_url=measured.base_url) as client:
        replica.behaviour = play
        deployment = measured.deployment()
        await deployment.create()
        spec = a_spec()
        scaled = spec.resources.model_copy(
            update={"autoscaling": Autoscaling(max_replicas=4, concurrency=ScalingConcurrency())}
        )
        spec = spec.model_copy(update={"resources": scaled})
        await deployment.tell(SpecRegistered(spec_id="spec-2", run_id="run-1", spec=spec))
        await deployment.ready("r1", replica.address)
        await answer_with(client, deployment, 200)
        waiting = asyncio.ensure_future(call(client, deployment, "/never"))
        await eventually(lambda: published.flying(deployment.deployment_id) == 1)
        begun = len(published.in_flight)
        await eventually(lambda: len(published.in_flight) >= begun + 3)
        for batch in published.in_flight[begun:]:
            assert [one.in_flight for one in batch.in_flight] == [1]
        # Of one of them; any of them may be late where the machine is busy.
        await eventually(lambda: min(batch.interval_s for batch in published.in_flight[begun:]) < 3)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await eventually(lambda: published.flying(deployment.deployment_id) == 0)


async def test_an_upgraded_connection_counts_in_flight_alone(measured, published):
    async with upstreams("r1") as (replica,), plain_client(base_url=measured.base_url):
        replica.behaviour = play
        deployment = await a_served(measured, replica)  # its one call is within the last minute
        reader, writer = await asyncio.open_connection("127.0.0.1", measured.edge_port)
        lines = ("GET /upgrade HTTP/1.1", f"host: {deployment.host}", "connection: upgrade")
        writer.write("\r\n".join((*lines, "upgrade: websocket")).encode() + CRLF + CRLF)
        assert b" 101 " in await reader.readuntil(CRLF + CRLF)
        await eventually(lambda: published.flying(deployment.deployment_id) == 1)
        writer.close()
        await eventually(lambda: published.flying(deployment.deployment_id) == 0)
        begun = len(published.requests)
        await eventually(lambda: len(published.requests) >= begun + 3)
        await counts(published, deployment, answered=1, unanswered=0, server_errors=0)
