"""What a client may hold of the api before it has asked anything: bare connections to a real server."""

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvicorn

from services.api.edge import connections
from services.api.edge.boundary import Boundary
from services.api.edge.connections import MAX_HEADER_BYTES, BoundedConnection
from services.api.edge.rest import make_rest
from tests.support.polling import PATIENCE_S, eventually
from tests.support.rest import KEY, running_api

ASKED = f"POST /v1/deployments HTTP/1.1\r\nhost: api\r\nauthorization: Bearer {KEY}\r\n".encode()


STREAM = ASKED.replace(b"POST /v1/deployments", b"GET /v1/events") + b"accept: text/event-stream\r\n"
HEALTH = b"GET /v1/health HTTP/1.1\r\nhost: api\r\n\r\n"


class Hurried(BoundedConnection):
    """What a client has sent before it is accepted reaches it in time, however busy the machine is."""

    headers_deadline_s = 1.0


class Patient(BoundedConnection):
    headers_deadline_s = 10 * PATIENCE_S


@asynccontextmanager
async def served(
    home: Path, kind: type[BoundedConnection], *, keep_alive_s: int = 5, **limits: float
) -> AsyncIterator[int]:
    """The port of REST."""
    async with running_api(home) as running:
        rest = Boundary(make_rest(running.api, api_key=KEY), api_key=KEY, **limits)
        server = uvicorn.Server(
            uvicorn.Config(
                rest,
                port=0,
                http=kind,
                lifespan="off",
                log_config=None,
                timeout_keep_alive=keep_alive_s,
                timeout_graceful_shutdown=1,
            )
        )
        serving = asyncio.ensure_future(server.serve())
        await eventually(lambda: server.started)
        try:
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def connected(
    port: int, first: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """first: sent before the api accepts the connection, for its event loop is this one."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(first)
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def answer(port: int, *pieces: bytes) -> tuple[int, dict[str, str]]:
    """Status and body of what comes until the api closes the connection; 0 where nothing does."""
    async with connected(port, b"".join(pieces[:1])) as (reader, writer):
        for piece in pieces[1:]:
            writer.write(piece)
        came = b""
        # Piece by piece: what has come counts also where the connection is reset after it.
        with suppress(ConnectionResetError):
            while piece := await reader.read(65536):
                came += piece
        head, _, body = came.partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body)) if head else (0, {})


async def test_a_connection_that_asks_nothing_is_closed(tmp_path: Path):
    async with served(tmp_path, Hurried) as port:
        assert await answer(port) == (0, {})


async def test_headers_that_never_end_are_answered_408(tmp_path: Path):
    async with served(tmp_path, Hurried) as port:
        status, body = await answer(port, ASKED)
        assert (status, body["code"]) == (408, "TIMEOUT")


async def test_a_second_request_has_a_deadline_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept = served(tmp_path, Patient, keep_alive_s=int(PATIENCE_S))
    async with kept as port, connected(port) as (reader, writer):
        writer.write(HEALTH)
        await reader.readuntil(b"\r\n\r\n")
        monkeypatch.setattr(Patient, "headers_deadline_s", 0.2)
        writer.write(HEALTH.removesuffix(b"\r\n"))
        assert b"HTTP/1.1 408 Request Timeout" in await reader.read()


async def test_headers_are_bounded(tmp_path: Path):
    async with served(tmp_path, Patient) as port:
        status, body = await answer(port, ASKED, b"x-long: ", b"x" * (MAX_HEADER_BYTES + 1))
        assert (status, body["code"]) == (431, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"x-long: " + b"x" * (MAX_HEADER_BYTES + 1) + b"\r\n", id="a long one"),
        pytest.param(b"x: y\r\n" * (MAX_HEADER_BYTES // 5), id="many"),
    ],
)
async def test_headers_that_come_whole_in_one_piece_are_bounded(tmp_path: Path, headers: bytes):
    async with served(tmp_path, Patient) as port:
        status, body = await answer(port, ASKED + headers + b"\r\n")
        assert (status, body["code"]) == (431, "PAYLOAD_TOO_LARGE")


async def test_long_bodies_are_no_headers(tmp_path: Path):
    async with served(tmp_path, Patient) as port:
        content = b" " * (2 * MAX_HEADER_BYTES)
        length = f"content-length: {len(content)}\r\nconnection: close\r\n\r\n".encode()
        assert (await answer(port, ASKED, length, content))[1]["code"] == "PARSE_ERROR"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(ASKED, id="with the key"),
        pytest.param(b"POST /v1/deployments HTTP/1.1\r\nhost: api\r\n", id="without a key"),
        pytest.param(ASKED.replace(b"deployments", b"log/import"), id="of an import"),
    ],
)
async def test_a_body_that_never_comes_is_answered_408_and_the_connection_closed(tmp_path: Path, head: bytes):
    async with served(tmp_path, Patient, body_deadline_s=0.2) as port:
        status, body = await answer(port, head, b"content-length: 100\r\n\r\n", b"{")
        assert (status, body["code"]) == (408, "TIMEOUT")


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        pytest.param(HEALTH, b"\r\n", id="an empty line"),
        pytest.param(HEALTH.replace(b"\r\n\r\n", b"\r\ncontent-length: 9\r\n\r\n"), b"x", id="a body"),
    ],
)
async def test_what_is_no_request_keeps_no_connection_open(tmp_path: Path, asked: bytes, more: bytes):
    async with served(tmp_path, Patient, keep_alive_s=2) as port, connected(port) as (reader, writer):
        writer.write(asked)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(more)
        with suppress(ConnectionResetError):
            await reader.read()


async def test_headers_after_the_body_of_an_answered_request_end_the_connection(tmp_path: Path):
    async with served(tmp_path, Patient) as port, connected(port) as (reader, writer):
        writer.write(HEALTH.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"x: " + b"y" * (2 * MAX_HEADER_BYTES))
        with suppress(ConnectionResetError):
            assert b"HTTP/1.1" not in await reader.read()


@pytest.mark.parametrize("path", [b"deployments", b"log/import"])
async def test_a_length_may_begin_with_any_number_of_zeros(tmp_path: Path, path: bytes):
    async with served(tmp_path, Patient) as port:
        length = b"content-length: " + b"0" * 6000 + b"1\r\nconnection: close\r\n\r\n"
        status, body = await answer(port, ASKED.replace(b"deployments", path), length, b"x")
        assert (status, body["code"]) == (400, "PARSE_ERROR" if path == b"deployments" else "BAD_REQUEST")


async def test_many_chunks_are_no_headers(tmp_path: Path):
    async with served(tmp_path, Patient) as port:
        chunks = b"1\r\n \r\n" * (MAX_HEADER_BYTES // 2) + b"0\r\nx: y\r\n\r\n"
        head = b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        assert (await answer(port, ASKED, head, chunks))[1]["code"] == "PARSE_ERROR"


async def test_no_refusal_stands_in_the_middle_of_another_answer(tmp_path: Path):
    async with (
        served(tmp_path, Hurried) as port,
        connected(port, STREAM + b"\r\n") as (reader, writer),
    ):
        await reader.readuntil(b": still here")
        writer.write(HEALTH.removesuffix(b"\r\n"))
        assert b"HTTP/1.1" not in await reader.read()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"content-length: 5\r\n\r\n", id="never comes"),
        pytest.param(b"content-length: 262144\r\n\r\n" + b"x" * 262_143, id="never ends"),
    ],
)
async def test_a_stream_whose_request_is_not_whole_is_ended_and_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: bytes
):
    for body_deadline_s in (1.0, 8.0, 64.0):
        kept = served(tmp_path / f"{body_deadline_s}", Patient, body_deadline_s=body_deadline_s)
        async with kept as port, connected(port) as (reader, writer):
            writer.write(STREAM + body)
            came = await reader.read()
        # On a busy machine the time may be over before the answer has begun.
        if not came.startswith(b"HTTP/1.1 408 "):
            break
    assert came.startswith(b"HTTP/1.1 200 OK")
    assert not [record for record in caplog.records if record.exc_info]


async def test_who_leaves_before_the_body_has_come_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with served(tmp_path, Patient) as port:
        async with connected(port) as (_, writer):
            writer.write(ASKED + b"content-length: 100\r\n\r\n{")
            await writer.drain()
        assert (await answer(port, HEALTH.replace(b"api\r\n", b"api\r\nconnection: close\r\n")))[0]
    assert not [record for record in caplog.records if record.exc_info]


async def test_what_is_not_http_is_answered_in_the_one_shape(tmp_path: Path):
    async with served(tmp_path, Patient) as port:
        status, body = await answer(port, b"nonsense\r\n\r\n")
        assert (status, body["code"]) == (400, "BAD_REQUEST")


async def test_no_more_connections_than_there_are_files_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connections, "most_connections", lambda: 1)
    kept = served(tmp_path, Patient, keep_alive_s=int(PATIENCE_S))
    async with kept as port, connected(port) as (reader, writer):
        writer.write(HEALTH)
        await reader.readuntil(b"\r\n\r\n")
        assert await answer(port) == (0, {})


def test_half_of_the_files_are_for_connections():
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert connections.most_connections() <= max(soft, 2 * connections.MOST_CONNECTIONS) // 2


async def test_a_watcher_may_ask_for_the_health_without_its_body(tmp_path: Path):
    """Two requests of one connection: what answers the second one is no body of the first."""
    asked = HEALTH.replace(b"GET", b"HEAD")
    async with served(tmp_path, Patient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in (asked, asked):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
        writer.close()
