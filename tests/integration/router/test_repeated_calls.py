"""How often one call is carried out when replicas die over it."""

import asyncio

import pytest

from tests.support.routed import a_served
from tests.support.upstream import Asked, Upstream, plain, upstreams

REPEATED = {4, 5}
"""Five tries; the second may meet the replica that has just died, and then it is sent nothing."""
NAMES = ("r1", "r2", "r3", "r4", "r5", "r6")
MIB = 1024 * 1024


async def die(upstream: Upstream, _: Asked, __: asyncio.StreamWriter) -> None:
    await upstream.die()


async def hang_up(_: Upstream, __: Asked, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def executions(upstreams_, method):
    return sum(asked.method == method for upstream in upstreams_ for asked in upstream.asked)


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        pytest.param("POST", {}, {1}, id="POST"),
        pytest.param("PATCH", {}, {1}, id="PATCH"),
        pytest.param("MERGE", {}, {1}, id="a method that nobody knows"),
        pytest.param("POST", {"idempotency-key": "7f"}, REPEATED, id="POST that the caller allows"),
        pytest.param("PATCH", {"Idempotency-Key": "7f"}, REPEATED, id="PATCH that the caller allows"),
        pytest.param("PUT", {}, REPEATED, id="PUT"),
        pytest.param("DELETE", {}, REPEATED, id="DELETE"),
    ],
)
async def test_six_replicas_that_die_after_reading_a_call(routed, client, method, headers, expected):
    async with upstreams(*NAMES) as six:
        deployment = await a_served(routed, *six)
        for upstream in six:
            upstream.behaviour = die
        response = await client.request(
            method, "/", headers={"host": deployment.host, **headers}, content=b"once"
        )
        assert response.status_code == 503
        # The error is that of the last try, which may find the closed port of a dead replica.
        last = {"replica_failed"} if expected == {1} else {"replica_failed", "no_ready_replicas"}
        assert response.json()["error_code"] in last
        assert executions(six, method) in expected


async def test_a_post_is_tried_elsewhere_where_nothing_was_sent(routed, client):
    async with upstreams("r1", "r2", "r3") as three:
        deployment = await a_served(routed, *three)
        for upstream in three[:2]:
            await upstream.die()
        for _ in range(9):
            response = await client.post("/", headers={"host": deployment.host}, content=b"once")
            assert response.status_code == 200, response.text
        assert executions(three, "POST") == 9


async def test_a_replica_that_breaks_every_call_off_costs_none(routed, client):
    """It is tried once more at most, on a fresh connection, before another one is."""
    async with upstreams("r1", "r2") as (bad, good):
        deployment = await a_served(routed, bad, good)
        bad.behaviour = hang_up
        for _ in range(10):
            before = len(bad.asked)
            response = await client.get("/", headers={"host": deployment.host})
            assert response.json()["name"] == "r2"
            assert len(bad.asked) - before <= 2


@pytest.mark.parametrize(
    ("size", "status"),
    [
        pytest.param(MIB // 2, 200, id="kept for another try"),
        pytest.param(4 * MIB, 503, id="too long to be kept"),
    ],
)
async def test_a_long_body_is_passed_on_but_not_sent_again(routed, client, size, status):
    async def fail_once(upstream: Upstream, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if executions([upstream], "PUT") == 1:
            writer.transport.abort()
        else:
            writer.write(plain("200 OK", str(len(asked.body)).encode()))

    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        upstream.behaviour = fail_once
        first = await client.put("/", headers={"host": deployment.host}, content=b"x" * size)
        assert first.status_code == status
        second = await client.put("/", headers={"host": deployment.host}, content=b"x" * size)
        assert (second.status_code, second.text) == (200, str(size))
