import asyncio

import pytest
import websockets

from tests.support.plain_http import plain_client
from tests.support.polling import PATIENCE_S, eventually
from tests.support.routed import a_served, assert_error
from tests.support.upstream import CRLF, Asked, Upstream, plain, upstreams

WEBSOCKET = {
    "connection": "Upgrade",
    "upgrade": "WebSocket",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
}


async def test_server_sent_events_arrive_one_by_one(routed, client):
    go_on = asyncio.Event()

    async def events(_: Upstream, __: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for number in range(3):
            write_chunk(writer, b"data: %d\n\n" % number)
            await go_on.wait()
            go_on.clear()
        write_chunk(writer, b"")

    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        upstream.behaviour = events
        async with client.stream("GET", "/events", headers={"host": deployment.host}) as response:
            assert response.headers["x-specstream-replica"] == "r1"
            received = []
            async for event in response.aiter_bytes():
                received.append(event)
                go_on.set()  # the next is sent only when this one has arrived
    assert received == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


async def test_a_long_request_body_passes(routed, client):
    async def count(_: Upstream, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain("200 OK", str(len(asked.body)).encode()))

    async def body():
        for _ in range(64):
            yield b"x" * 256 * 1024

    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        upstream.behaviour = count
        response = await client.post("/upload", headers={"host": deployment.host}, content=body())
    assert (response.status_code, response.text) == (200, str(16 * 1024 * 1024))


async def test_a_websocket_talks_both_ways(routed):
    async def echo(connection):
        async for message in connection:
            await connection.send(f"echo {message}")

    async with websockets.serve(echo, "127.0.0.1", 0) as server, upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        await deployment.ready("ws", f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await deployment.unready("r1")
        async with plain_client(base_url=routed.base_url) as client:
            await replaced_by_websocket(client, deployment.host)
        uri = f"ws://{deployment.host}:{routed.edge_port}/"
        at = {"host": "127.0.0.1", "port": routed.edge_port, "proxy": None}
        async with websockets.connect(uri, **at, open_timeout=PATIENCE_S, ping_interval=None) as connection:
            for word in ("one", "two"):
                await connection.send(word)
                assert await connection.recv() == f"echo {word}"
            assert connection.response.headers["x-specstream-replica"] == "ws"


@pytest.mark.parametrize(
    ("offer", "also"),
    [
        ("TLS/1.2", {}),
        ("TLS/1.0, TLS/1.2", {}),
        ("h2c", {"connection": "Upgrade, HTTP2-Settings", "http2-settings": "AAMAAABkAAQCAAAAAAIAAAAA"}),
        ("websockets", {}),
        ("webs", {}),
        ("WHATEVER/7", {}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_offer_to_speak_another_protocol_is_no_obstacle(routed, client, offer, also, method):
    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        headers = {"host": deployment.host, "connection": "Upgrade", "upgrade": offer, **also}
        response = await client.request(method, "/", headers=headers, content=b"x" * (method == "POST"))
    assert response.status_code == 200
    received = response.json()
    assert received["size"] == (method == "POST")
    assert not {"upgrade", "http2-settings"} & set(received["headers"])


@pytest.mark.parametrize(
    ("answer", "status"),
    [("200 OK", 502), ("204 No Content", 502), ("302 Found", 302), ("307 Temporary Redirect", 307)],
)
async def test_a_replica_that_takes_no_websocket_is_told_of(routed, client, answer, status):
    response = await a_websocket_that_is_answered(
        routed, client, plain(answer, b"", {"location": "/elsewhere"})
    )
    assert response.status_code == status
    assert_error(response, "websocket_refused")
    assert response.headers["location"] == "/elsewhere"


@pytest.mark.parametrize("answer", ["401 Unauthorized", "403 Forbidden", "426 Upgrade Required", "500 Ouch"])
async def test_what_a_replica_says_against_a_websocket_is_passed_on(routed, client, answer):
    said = plain(answer, b"no", {"www-authenticate": "Basic"})
    response = await a_websocket_that_is_answered(routed, client, said)
    assert (response.status_code, response.text) == (int(answer[:3]), "no")
    assert response.headers["www-authenticate"] == "Basic"
    assert response.headers["x-specstream-replica"] == "r1"


async def a_websocket_that_is_answered(routed, client, said):
    """What a client gets who asks for a WebSocket, of a replica that says this instead."""

    async def answer(_: Upstream, __: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    async with upstreams("r1") as (upstream,):
        deployment = await a_served(routed, upstream)
        upstream.behaviour = answer
        return await client.get("/", headers={"host": deployment.host, **WEBSOCKET})


async def replaced_by_websocket(client, host):
    async def refuses_plain_http():
        return (await client.get("/", headers={"host": host})).status_code == 426

    await eventually(refuses_plain_http)


def write_chunk(writer, data):
    writer.write(b"%x" % len(data) + CRLF + data + CRLF)
