"""Who can connect to the edge, and how many at once."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from libs.common import loopback
from libs.supervisor.envoy_config import render
from tests.support.plain_http import plain_client
from tests.support.polling import eventually
from tests.support.routed import a_served, answer_with, answered_by
from tests.support.upstream import upstreams


@asynccontextmanager
async def idle_connection(port):
    """Yields a question: whether Envoy has closed it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader.at_eof
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("host", loopback.hosts())
async def test_every_address_of_localhost_is_the_platforms(routed, host):
    """Where one was left free, a replica could listen there and be taken for the platform."""
    base_url = f"http://[{host}]:{routed.edge_port}" if ":" in host else f"http://{host}:{routed.edge_port}"
    async with (
        upstreams("r1") as (upstream,),
        plain_client(base_url=base_url) as client,
    ):
        deployment = await a_served(routed, upstream)
        assert await answered_by(client, deployment) == "r1"


async def test_idle_connections_beyond_the_limit_are_refused_and_cost_nobody_else(routed, client):
    await routed.envoy.stop()
    routed.envoy.open_files = 300
    await routed.envoy.start()
    await eventually(routed.is_listening, because="Envoy never opened its listener")
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        assert await answered_by(client, deployment) == "r1"
        async with AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(idle_connection(routed.edge_port)) for _ in range(200)]
            await eventually(lambda: sum(is_closed() for is_closed in crowd) >= 150)
            assert await answered_by(client, deployment) == "r1"
        async with plain_client(base_url=routed.base_url) as newcomer:
            assert await eventually(lambda: reaches(newcomer, deployment))


async def reaches(client, deployment):
    try:
        return await answer_with(client, deployment, 200)
    except httpx.HTTPError:
        return None


@pytest.mark.parametrize(
    ("open_files", "connections"),
    [
        pytest.param(1024, 412, id="the usual limit of a shell"),
        pytest.param(1_048_576, 50_000, id="more than one Envoy can serve"),
        pytest.param(100, 1, id="hardly any"),
    ],
)
def test_envoy_accepts_no_more_connections_than_it_has_files_for(open_files, connections):
    template = "${TOKEN} ${HEAP_BYTES} ${CONNECTIONS}"
    assert render(template, token="t", heap_mib=1, open_files=open_files).split()[2] == str(connections)
