"""What is in flight, as the router publishes it from Envoy's load reports."""

import asyncio

from libs.common.events.deployment import SpecRegistered
from libs.common.spec.model import Autoscaling, ScalingConcurrency
from tests.support.deployments import a_spec
from tests.support.measured import call, counts, play
from tests.support.plain_http import plain_client
from tests.support.polling import eventually
from tests.support.routed import a_served, answer_with
from tests.support.upstream import CRLF, upstreams


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
