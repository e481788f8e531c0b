"""Clients that send a long request and stop in the middle: bounded in time and in Envoy's memory."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.polling import PATIENCE_S, eventually, let_time_pass
from tests.support.routed import a_served, answered_by, assert_error
from tests.support.upstream import upstreams

MIB = 1024 * 1024
KIB = 1024


def memory_mib(routed):
    lines = Path(f"/proc/{routed.envoy.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


async def whatever_comes(reader):
    """Until the end. What has come counts also where the connection is reset after it, because Envoy had more
    to read when it closed it."""
    came = b""
    with suppress(ConnectionError):
        while piece := await reader.read(64 * KIB):
            came += piece
    return came


class Upload:
    """A client that has announced `size` bytes and sends all but the last one."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def begin(cls, routed, host, size):
        reader, writer = await asyncio.open_connection("127.0.0.1", routed.edge_port)
        upload = cls(reader, writer)
        writer.write(f"POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: {size}\r\n\r\n".encode())
        upload.sending = asyncio.ensure_future(upload._send(size - 1))
        return upload

    async def _send(self, left):
        try:
            while left:
                piece = min(left, 256 * KIB)
                self.writer.write(bytes(piece))
                await self.writer.drain()
                left -= piece
        except ConnectionError:
            pass

    async def answer(self):
        """Status and body of what Envoy answers; None when it only closes."""
        head, _, body = (await whatever_comes(self.reader)).partition(b"\r\n\r\n")
        return (int(head.split(b" ", 2)[1]), json.loads(body)) if head else None

    async def close(self):
        self.sending.cancel()
        await asyncio.gather(self.sending, return_exceptions=True)
        self.writer.transport.abort()


@asynccontextmanager
async def stalled(routed, host, *, count, size):
    """That many uploads, each as far as it gets."""
    uploads = []
    try:
        for _ in range(count):
            uploads.append(await Upload.begin(routed, host, size))  # noqa: PERF401 - each is closed that has begun
        yield uploads
    finally:
        await asyncio.gather(*(upload.close() for upload in uploads))


@asynccontextmanager
async def more_and_more(routed, host, *, count, size, at_once):
    """The same, while the block runs. at_once: after so many Envoy looks at its heap; what is admitted
    between two looks it does not bound."""
    uploads = []

    async def go_on():
        for number in range(1, count + 1):
            uploads.append(await Upload.begin(routed, host, size))
            if number % at_once == 0:
                await heap_is_looked_at(routed)

    going_on = asyncio.ensure_future(go_on())
    try:
        yield going_on
    finally:
        going_on.cancel()
        await asyncio.gather(going_on, return_exceptions=True)
        await asyncio.gather(*(upload.close() for upload in uploads))


async def heap_is_looked_at(routed):
    """Envoy does it ten times a second; whichever of its two threads stands still is waited for. While it
    takes no connection nothing is admitted either."""
    await let_time_pass(0.1)
    async with routed.envoy.admin() as admin:
        active = (await admin.get("/stats", params={"filter": r"^overload\..*\.active$"})).text
    if " 1" not in active:
        with suppress(TimeoutError):
            await asyncio.wait_for(routed.is_listening(), 5)


async def with_limits(routed, **seconds):
    """Go on with these limits, by an Envoy that starts again."""
    for name, value in seconds.items():
        setattr(routed, name, value)
    await routed.envoy.stop()
    await routed.stop_router()
    await routed.start_router()
    await routed.envoy.start()
    await eventually(routed.is_listening)


async def test_thirty_stalled_uploads_cost_little_memory_and_no_neighbour(routed, client):
    async with upstreams("r1", "r2") as (victim, neighbour):
        besieged, other = await a_served(routed, victim), await a_served(routed, neighbour)
        before = memory_mib(routed)
        async with stalled(routed, besieged.host, count=30, size=8 * MIB) as uploads:
            await asyncio.wait_for(asyncio.gather(*(upload.sending for upload in uploads)), PATIENCE_S)
            assert {await answered_by(client, other) for _ in range(50)} == {"r2"}
            assert memory_mib(routed) - before < 60
        assert await answered_by(client, besieged) == "r1"


async def test_an_upload_that_takes_too_long_is_answered_with_408(routed):
    await with_limits(routed, upload_deadline_s=1.0)
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        # So short that all but the last byte is sent at once.
        async with stalled(routed, deployment.host, count=1, size=KIB) as (upload,):
            status, body = await asyncio.wait_for(upload.answer(), PATIENCE_S)
        assert (status, body["error_code"]) == (408, "request_timeout")
        assert body["error"]


@pytest.mark.parametrize(
    ("limits", "bytes_later"),
    [
        pytest.param({"headers_silence_s": 1.0}, 0, id="the client falls silent"),
        pytest.param({"upload_deadline_s": 1.5}, 10, id="it goes on byte by byte"),
    ],
)
async def test_headers_that_never_become_whole_are_answered_with_408(routed, limits, bytes_later):
    await with_limits(routed, **limits)
    async with asyncio.timeout(PATIENCE_S):
        said = await answer_to_slow_headers(routed.edge_port, bytes_later=bytes_later)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["error_code"] == "request_timeout"


async def answer_to_slow_headers(port, *, bytes_later):
    """By a bare socket: the answer may come before all is said, and a stream that can write no more throws
    away what it has not read yet."""
    loop = asyncio.get_running_loop()
    came = b""
    with socket.create_connection(("127.0.0.1", port)) as connection, suppress(ConnectionError):
        connection.setblocking(False)
        await loop.sock_sendall(connection, b"GET / HTTP/1.1\r\nhost: any.localhost\r\nx-slow: ")
        for _ in range(bytes_later):
            await let_time_pass(0.1)
            with suppress(ConnectionError):
                await loop.sock_sendall(connection, b"x")
        while piece := await loop.sock_recv(connection, 64 * KIB):
            came += piece
    return came


async def test_who_has_sent_its_headers_may_be_silent_for_longer_than_before(routed, client):
    await with_limits(routed, headers_silence_s=0.5)

    async def think(_, __, writer):
        await let_time_pass(1.5)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")

    async def slowly():
        yield b"a"
        await let_time_pass(1.5)
        yield b"b"

    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        upstream.behaviour = think
        responses = [
            await client.get("/", headers={"host": deployment.host}),
            await client.post(
                "/", headers={"host": deployment.host, "content-length": "2"}, content=slowly()
            ),
        ]
    assert [(response.status_code, response.text) for response in responses] == [(200, "done")] * 2


async def test_an_answer_that_has_begun_may_take_longer_than_an_upload(routed):
    await with_limits(routed, upload_deadline_s=1.5)

    async def talk(_, __, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(5):
            writer.write(b"1\r\nx\r\n")
            await let_time_pass(0.5)
        writer.write(b"0\r\n\r\n")

    async def think(_, __, writer):
        await let_time_pass(2.5)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nxxxxx")

    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        for behaviour in (talk, think):
            upstream.behaviour = behaviour
            assert await posted_at_once(routed, deployment.host, b"short") == (200, "xxxxx")


async def posted_at_once(routed, host, body):
    """Status and body of the answer to a request that is sent in one piece: its upload takes no time."""
    _, writer = parts = await asyncio.open_connection("127.0.0.1", routed.edge_port)
    head = f"POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    try:
        writer.write(head.encode() + body)
        head, _, said = (await asyncio.wait_for(whatever_comes(parts[0]), PATIENCE_S)).partition(b"\r\n\r\n")
    finally:
        writer.transport.abort()
    if b"chunked" in head:
        said = b"".join(said.split(b"\r\n")[1::2])
    return int(head.split(b" ", 2)[1]), said.decode()


async def test_uploads_without_number_stay_within_the_heap_limit_and_are_ended(routed, client):
    """At the limit others are refused at once; who sends nothing for ten seconds then makes room for them."""
    limit_mib, code_and_stacks_mib = 128, 90
    routed.envoy.heap_mib = limit_mib
    await routed.envoy.stop()
    await routed.envoy.start()
    await eventually(routed.is_listening)
    async with upstreams("r1", "r2") as (victim, neighbour):
        besieged, other = await a_served(routed, victim), await a_served(routed, neighbour)
        seen = []

        async def ask():
            assert memory_mib(routed) < limit_mib + code_and_stacks_mib
            try:
                response = await client.get("/", headers={"host": other.host})
            except (httpx.RemoteProtocolError, httpx.ReadError):
                seen.append("connection closed")
            else:
                seen.append(response.json().get("error_code", response.status_code))
            return seen[-1]

        async def is_refused():
            return await ask() == "overloaded"

        async def is_served():
            return await ask() == 200

        assert await is_served()
        async with more_and_more(routed, besieged.host, count=300, size=MIB - KIB, at_once=5) as besieging:
            await eventually(is_refused)
            await besieging
            await eventually(is_served, every_s=0.1)
        assert set(seen) <= {200, "overloaded", "connection closed"}


async def test_a_request_with_too_many_headers_is_refused(client):
    headers = {f"x-{number}": "x" * 1000 for number in range(80)}
    response = await client.get("/", headers={"host": "any.localhost", **headers})
    assert response.status_code == 431
    assert_error(response, "request_too_large")
