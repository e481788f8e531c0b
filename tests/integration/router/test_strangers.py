"""What the router's socket does with clients that are not our Envoy, and with an Envoy that misbehaves."""

from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3 import ads_pb2_grpc
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest
from envoy.service.load_stats.v3 import lrs_pb2_grpc
from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from libs.common import envoy_folder
from libs.common.log.memory import MemoryLog
from services.router.draining import PATIENCE_S
from services.router.meeting_place import PlaceTaken, entered
from services.router.xds.server import MAX_SESSIONS, DiscoveryServer
from services.router.xds.types import ResourceType
from tests.support.envoy import EnvoyProcess
from tests.support.free_ports import free_port
from tests.support.grpc_refusals import refusal
from tests.support.polling import eventually
from tests.support.routed import Routed, RouterUnderTest, Skipping, a_served, answer_with
from tests.support.upstream import upstreams

OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


@asynccontextmanager
async def a_client(routed, *, token=None):
    """A stub of the discovery service. token: None sends none."""
    metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
    address = routed.envoy.socket(envoy_folder.XDS_SOCKET)
    async with grpc.aio.insecure_channel(f"unix:{address}", options=OWN_CONNECTION) as channel:
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
        yield lambda: stub.DeltaAggregatedResources(metadata=metadata)


@asynccontextmanager
async def a_silent_envoy(routed):
    """It takes in the listener, subscribes to all the rest, and answers nothing after that."""
    async with a_client(routed, token=routed.envoy.token) as connect:
        call = connect()
        await call.write(DeltaDiscoveryRequest(type_url=ResourceType.LISTENER))
        listener = await call.read()
        acknowledgement = DeltaDiscoveryRequest(type_url=ResourceType.LISTENER, response_nonce=listener.nonce)
        await call.write(acknowledgement)
        for type_ in (ResourceType.CLUSTER, ResourceType.SCOPE):
            await call.write(DeltaDiscoveryRequest(type_url=type_))
        names = list(routed.router.cache.resources)
        await call.write(
            DeltaDiscoveryRequest(type_url=ResourceType.ENDPOINTS, resource_names_subscribe=names)
        )
        await call.read()
        yield call


async def ask(call, type_):
    """The first answer; a refusal may come before all is said."""
    await call.write(DeltaDiscoveryRequest(type_url=type_))
    return await call.read()


async def read_to_the_end(call):
    while await call.read() is not grpc.aio.EOF:
        pass


async def withdrawn(deployment, replica_id):
    async def is_withdrawn():
        return replica_id in await deployment.withdrawn()

    await eventually(is_withdrawn)


@pytest.mark.parametrize("token", [None, "", "0" * 64], ids=["none", "empty", "wrong"])
async def test_a_client_without_the_token_is_told_nothing_and_counts_as_nothing(routed, token):
    async with upstreams("r1", "r2") as both:
        deployment = await a_served(routed, *both)
        async with a_client(routed, token=token) as connect:
            assert await refusal(lambda: ask(connect(), ResourceType.CLUSTER)) is UNAUTHENTICATED
            assert len(routed.router.cache.sessions) == 1
            await deployment.retire("r1")
            await withdrawn(deployment, "r1")


async def test_who_does_not_know_the_token_may_not_say_what_was_counted(routed):
    address = routed.envoy.socket(envoy_folder.XDS_SOCKET)
    async with grpc.aio.insecure_channel(f"unix:{address}", options=OWN_CONNECTION) as channel:
        metrics = metrics_service_pb2_grpc.MetricsServiceStub(channel)
        loads = lrs_pb2_grpc.LoadReportingServiceStub(channel)

        async def push():
            await metrics.Export(ExportMetricsServiceRequest())

        async def report():
            await loads.StreamLoadStats(iter([LoadStatsRequest()])).read()

        for speak in (push, report):
            assert await refusal(speak) is UNAUTHENTICATED


async def test_the_socket_is_its_owners_alone(routed):
    for path in (routed.envoy.folder, *routed.envoy.folder.glob("*.sock")):
        assert path.stat().st_mode & 0o077 == 0, path


async def test_an_admin_address_of_the_clients_choice_is_not_asked(routed):
    async with upstreams("r1", "r2") as both, a_client(routed, token=routed.envoy.token) as connect:
        deployment = await a_served(routed, *both)
        call = connect()
        request = DeltaDiscoveryRequest(type_url=ResourceType.LISTENER)
        request.node.id = "x" * 100_000
        request.node.metadata["admin"] = "http://[::1"
        await call.write(request)
        await eventually(lambda: len(routed.router.cache.sessions) == 2)
        await deployment.retire("r1")
        await withdrawn(deployment, "r1")


@pytest.fixture
async def patience(routed):
    """Skips the time that an Envoy may leave a response without an answer: one that is only slow has it."""
    routed.ticks = Skipping()
    await routed.stop_router()
    await routed.start_router()

    def skip():
        routed.ticks.skipped_s += PATIENCE_S + 1

    return skip


async def test_an_envoy_that_never_acknowledges_is_ended_and_holds_no_withdrawal(routed, patience):
    async with upstreams("r1", "r2") as both:
        deployment = await a_served(routed, *both)
        (envoy,) = routed.router.cache.sessions
        async with a_silent_envoy(routed) as call:
            assert len(routed.router.cache.sessions) == 2
            await deployment.retire("r1")
            drains = routed.router.drains
            await eventually(lambda: drains.progress(deployment.deployment_id, "r1").begun_at is not None)
            await eventually(lambda: envoy.pending_since() is None)
            assert await deployment.withdrawn() == frozenset()
            patience()
            await withdrawn(deployment, "r1")
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await read_to_the_end(call)
            assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_an_envoy_that_reads_nothing_holds_up_nobody(routed, client, patience):
    async with upstreams("r1") as (upstream,):
        await a_served(routed, upstream)
        (envoy,) = routed.router.cache.sessions
        async with a_client(routed, token=routed.envoy.token) as connect:
            call = connect()
            for type_ in (ResourceType.LISTENER, ResourceType.CLUSTER):
                await call.write(DeltaDiscoveryRequest(type_url=type_))
            await eventually(lambda: len(routed.router.cache.sessions) == 2)
            others = [routed.deployment() for _ in range(3)]
            for one in others:
                await one.create()
                await one.ready("r1", upstream.address)
                await answer_with(client, one, 200)
            await eventually(lambda: envoy.pending_since() is None)
            patience()
            await eventually(lambda: routed.router.cache.sessions == (envoy,))
            assert all(routed.is_current(one) for one in others)


async def test_the_number_of_streams_is_limited(routed):
    refused = []
    held = []
    """The client's library ends a call that nobody holds any more."""
    async with AsyncExitStack() as clients:
        for _ in range(MAX_SESSIONS + 1):
            connect = await clients.enter_async_context(a_client(routed, token=routed.envoy.token))

            async def opened(connect=connect):
                held.append(connect())
                await ask(held[-1], ResourceType.LISTENER)

            refused.append(await refusal(opened))
        assert len(routed.router.cache.sessions) == MAX_SESSIONS
    assert [code for code in refused if code] == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2
    await eventually(lambda: len(routed.router.cache.sessions) == 1)


async def test_a_second_router_does_not_take_the_envoys_of_the_first(routed):
    with entered(routed.envoy.folder) as place:
        second = DiscoveryServer(routed.router.cache, place, clock=None, ticks=lambda: 0.0)
        with pytest.raises(PlaceTaken):
            await second.start()
    assert isinstance(routed.router, RouterUnderTest)
    async with upstreams("r1") as (upstream,):
        await a_served(routed, upstream)


async def test_a_home_with_a_long_path_has_sockets_too(envoy, tmp_path):
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    setup = Routed(MemoryLog(), EnvoyProcess(envoy.binary, folder), free_port())
    try:
        await setup.start_router()
        await setup.envoy.start()
        await eventually(setup.is_listening)
    finally:
        await setup.envoy.stop()
        await setup.stop_router()
