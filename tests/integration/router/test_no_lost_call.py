import asyncio
import json
import weakref

import pytest

from tests.support.callers import callers, many_calls
from tests.support.polling import eventually
from tests.support.routed import a_served
from tests.support.upstream import Asked, Upstream, plain, upstreams


class TwoByTwo:
    """Answers when two requests wait, so that at any moment one may be waiting that has no answer yet."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Event] = []
        self.is_open = False

    async def __call__(self, upstream: Upstream, _: Asked, writer: asyncio.StreamWriter) -> None:
        if self.waiting:
            self.waiting.pop().set()
        elif not self.is_open:
            self.waiting.append(turn := asyncio.Event())
            await turn.wait()
        writer.write(plain("200 OK", upstream.name.encode()))

    def open(self) -> None:
        self.is_open = True
        for turn in self.waiting:
            turn.set()


async def test_the_death_of_a_replica_under_load_loses_no_call(routed):
    async with upstreams("r1", "r2", "r3") as three:
        deployment = await a_served(routed, *three)
        gates = [TwoByTwo() for _ in three]
        for upstream, gate in zip(three, gates, strict=True):
            upstream.behaviour = gate
        async with callers(routed.base_url, deployment.host, clients=16) as calls:
            for victim, gate in zip(three[:2], gates[:2], strict=True):
                seen = calls.count
                await eventually(lambda seen=seen: calls.count > seen + 100)
                await eventually(lambda gate=gate: gate.waiting)
                await victim.die()
            seen = calls.count
            await eventually(lambda: calls.count > seen + 100)
            for gate in gates:
                gate.open()
    assert calls.failed == 0, (calls.answered, calls.broken)


class Closing:
    """Closes each connection after its first answer, without having said so."""

    async def __call__(self, upstream: Upstream, _: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain("200 OK", upstream.name.encode()))
        await writer.drain()
        writer.close()


class ClosingOnTheNext:
    """Closes each connection when the next request comes on it, so that each connection that is used twice
    was just being closed."""

    def __init__(self) -> None:
        self.known: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()

    async def __call__(self, upstream: Upstream, _: Asked, writer: asyncio.StreamWriter) -> None:
        if writer in self.known:
            writer.close()
        else:
            self.known.add(writer)
            writer.write(plain("200 OK", upstream.name.encode()))


@pytest.mark.parametrize("behaviour", [Closing, ClosingOnTheNext])
async def test_a_replica_that_closes_connections_unasked_costs_no_get(routed, behaviour):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        upstream.behaviour = behaviour()
        calls = await many_calls(routed.edge_port, deployment.host, total=20_000)
    assert (calls.count, calls.failed) == (20_000, 0), (calls.answered, calls.broken[:3])


async def test_what_a_replica_has_begun_to_answer_is_not_asked_again(routed):
    async def half(_: Upstream, __: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async with upstreams("r1", "r2") as both:
        deployment = await a_served(routed, *both)
        for upstream in both:
            upstream.behaviour = half
        async with callers(routed.base_url, deployment.host, clients=1) as calls:
            await eventually(lambda: calls.count >= 2)
        gets = sum(asked.body == b"x" * 100 for upstream in both for asked in upstream.asked)
    assert (gets, len(calls.broken)) == (calls.count, calls.count)


async def test_two_hundred_flips_between_runs_lose_no_call(routed):
    async def answer(upstream: Upstream, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain("200 OK", json.dumps({"name": upstream.name, "path": asked.path}).encode()))

    async with upstreams("r1", "r2") as both:
        deployment = await a_served(routed, both[0])
        for upstream in both:
            upstream.behaviour = answer
        async with callers(routed.base_url, deployment.host, clients=8) as calls:
            for flip in range(200):
                old, new = both[flip % 2], both[(flip + 1) % 2]
                await deployment.ready(new.name, new.address, run_id=f"run-{flip}")
                await deployment.unready(old.name)
                await eventually(lambda: routed.is_current(deployment), every_s=0.001)
    assert calls.count > 200
    assert calls.failed == 0, (calls.answered, calls.broken)


async def test_a_deployment_becomes_known_only_when_its_replicas_can_be_reached(routed, client):
    """Cluster and endpoints before the route: a client sees 404 or 200, never an error between."""
    async with upstreams("r1") as (upstream,):
        for _ in range(50):
            deployment = routed.deployment()
            # Told of its replica first, so that it is never one without a ready replica.
            await deployment.ready("r1", upstream.address)
            await deployment.create()
            statuses = []

            async def is_served(deployment=deployment, statuses=statuses):
                response = await client.get("/", headers={"host": deployment.host})
                statuses.append(response.status_code)
                return response.status_code == 200

            await eventually(is_served, every_s=0.0005)
            assert set(statuses) <= {404, 200}
