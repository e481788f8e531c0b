"""Single attempts against real servers on the loopback, however badly they behave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import uvloop

from libs.common.cluster.addresses import Addresses
from libs.common.spec.model import HealthCheck
from services.health.probe_request import Endpoint
from services.health.prober import Prober
from services.health.probing import Failure, Outcome, ProberError, Success
from tests.support.free_ports import free_port

PATIENT = HealthCheck(path="/start", timeout_seconds=10)
HURRIED = HealthCheck(path="/start", timeout_seconds=1)


@dataclass
class Served:
    """A server and the heads of the requests that it got."""

    endpoint: Endpoint
    heads: list[str] = field(default_factory=list)
    sent: int = 0


Answering = Callable[[str, asyncio.StreamWriter, Served], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answering) -> AsyncIterator[Served]:
    """`answer` is called with each request's head; the connection is closed after it."""

    connections: set[asyncio.Task[None]] = set()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            connections.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            served.heads.append(head)
            await answer(head, writer, served)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the prober has seen enough and left, or the test is over
        finally:
            writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    served = Served(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]))
    async with server:
        yield served
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections)


def saying(*chunks: bytes, then_hang: bool = False) -> Answering:
    async def answer(_head: str, writer: asyncio.StreamWriter, _served: Served) -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        if then_hang:
            await asyncio.Event().wait()

    return answer


def status(code: int, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {code} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def probe(answer: Answering, check: HealthCheck = PATIENT) -> Outcome:
    """By a prober that never takes a machine that is busy for one that stood still."""
    async with serving(answer) as served:
        return await Prober(ticks=lambda: 0.0).get(served.endpoint, check)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        pytest.param(200, Success(), id="200 is a success"),
        pytest.param(204, Success(), id="204 has no body"),
        pytest.param(304, Success(), id="304 is a success"),
        pytest.param(399, Success(), id="399 is the last success"),
        pytest.param(400, Failure("HTTP 400"), id="400 is the first failure"),
        pytest.param(404, Failure("HTTP 404"), id="404 is a failure"),
        pytest.param(503, Failure("HTTP 503"), id="503 is a failure"),
        pytest.param(101, Failure("HTTP 101"), id="below 200 is a failure"),
    ],
)
async def test_statuses(code: int, outcome: Outcome) -> None:
    assert await probe(saying(status(code))) == outcome


@pytest.mark.parametrize(
    ("chunks", "outcome"),
    [
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\nuntil the end"], Success(), id="a body without a length"),
        pytest.param([b"HTTP/1.0 200 OK\r\n\r\n"], Success(), id="HTTP/1.0"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n"],
            Success(),
            id="a chunked body",
        ),
        pytest.param(
            [b"HT", b"TP/1.1 2", b"00 OK\r\nContent-Le", b"ngth: 0\r\n\r\n"], Success(), id="bit by bit"
        ),
        pytest.param(
            [b"HTTP/1.1 100 Continue\r\n\r\n", status(503)], Failure("HTTP 503"), id="100 comes first"
        ),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"],
            Failure("connection closed before the response was complete"),
            id="a body that breaks off",
        ),
        pytest.param(
            [], Failure("connection closed before the response was complete"), id="no answer at all"
        ),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000],
            Failure("response head over 8192 bytes"),
            id="a head without end",
        ),
    ],
)
async def test_shapes_of_answers(chunks: list[bytes], outcome: Outcome) -> None:
    assert await probe(saying(*chunks)) == outcome


def test_the_services_own_event_loop_carries_it_too() -> None:
    async def both() -> list[Outcome]:
        return [await probe(saying(status(503))), await Prober().connect(closed_port())]

    assert uvloop.run(both()) == [Failure("HTTP 503"), Failure("connection refused", is_refused=True)]


async def test_what_is_not_http_is_a_failure() -> None:
    outcome = await probe(saying(b"SSH-2.0-OpenSSH_9.2\r\n"))
    assert isinstance(outcome, Failure)
    assert outcome.message.startswith("not an HTTP response")


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([], id="never answers"),
        pytest.param([b"HTTP/1.1 200 OK\r\nX-Half: "], id="hangs in the middle of a header"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"], id="hangs in the body"),
    ],
)
async def test_the_time_limit_covers_the_whole_attempt(chunks: list[bytes]) -> None:
    assert await probe(saying(*chunks, then_hang=True), HURRIED) == Failure("timed out after 1 s")


async def test_a_slow_drip_does_not_extend_the_time_limit() -> None:
    async def drip(_head: str, writer: asyncio.StreamWriter, _served: Served) -> None:
        def drop() -> None:
            if not writer.is_closing():
                writer.write(b"X: y\r\n")
                asyncio.get_running_loop().call_later(0.05, drop)

        writer.write(b"HTTP/1.1 200 OK\r\n")
        drop()
        await asyncio.Event().wait()

    assert await probe(drip, HURRIED) == Failure("timed out after 1 s")


async def test_a_chain_of_redirects_shares_one_time_limit() -> None:
    async def slow(_head: str, writer: asyncio.StreamWriter, _served: Served) -> None:
        redirect = status(302, "Location: /again")
        asyncio.get_running_loop().call_later(0.3, writer.write, redirect)
        await asyncio.Event().wait()

    assert await probe(slow, HURRIED) == Failure("timed out after 1 s")


async def test_of_a_huge_body_only_the_beginning_is_read() -> None:
    async def flood(_head: str, writer: asyncio.StreamWriter, served: Served) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while served.sent < 1_000_000_000:
            writer.write(b"x" * 65536)
            await writer.drain()
            served.sent += 65536

    async with serving(flood) as served:
        assert await Prober().get(served.endpoint, PATIENT) == Success()
        assert served.sent < 32_000_000  # what the kernel took; none of it is read


def by_path(answers: dict[str, bytes]) -> Answering:
    async def answer(head: str, writer: asyncio.StreamWriter, _served: Served) -> None:
        writer.write(answers.get(head.split(" ")[1], status(404)))

    return answer


@pytest.mark.parametrize(
    ("answers", "outcome", "paths"),
    [
        pytest.param(
            {"/start": status(307, "Location: /end"), "/end": status(200)},
            Success(),
            ["/start", "/end"],
            id="a redirect here is followed to its success",
        ),
        pytest.param(
            {"/start": status(301, "Location: /end"), "/end": status(500)},
            Failure("HTTP 500"),
            ["/start", "/end"],
            id="and to its failure",
        ),
        pytest.param(
            {"/start": status(302, "Location: http://elsewhere.test/")},
            Success(),
            ["/start"],
            id="one elsewhere is a success that is not followed",
        ),
        pytest.param(
            {"/start": status(302, "Location: /start")},
            Failure("redirected more than 10 times"),
            ["/start"] * 11,
            id="a circle ends",
        ),
    ],
)
async def test_redirects(answers: dict[str, bytes], outcome: Outcome, paths: list[str]) -> None:
    async with serving(by_path(answers)) as served:
        assert await Prober().get(served.endpoint, PATIENT) == outcome
    assert [head.split(" ")[1] for head in served.heads] == paths


async def test_a_redirect_to_a_neighbour_never_reaches_it() -> None:
    async with serving(saying(status(500))) as neighbour:
        there = f"Location: http://{neighbour.endpoint.authority}/"
        assert await probe(saying(status(302, there))) == Success()
    assert neighbour.heads == []


async def test_a_redirect_by_the_host_override_comes_back_to_the_replica() -> None:
    answers = {"/start": status(307, "Location: http://app.test/end"), "/end": status(200)}
    check = HealthCheck(path="/start", host="app.test", timeout_seconds=10)
    async with serving(by_path(answers)) as served:
        assert await Prober().get(served.endpoint, check) == Success()
    assert ["Host: app.test\r\n" in head for head in served.heads] == [True, True]


def closed_port() -> Endpoint:
    return Endpoint("127.0.0.1", free_port())


async def test_a_closed_port_refuses() -> None:
    endpoint = closed_port()
    refused = Failure("connection refused", is_refused=True)
    assert await Prober().get(endpoint, PATIENT) == refused
    assert await Prober().connect(endpoint) == refused


async def test_an_open_port_accepts_and_gets_no_byte() -> None:
    async with serving(saying()) as served:
        assert await Prober().connect(served.endpoint) == Success()
    assert served.heads == []


async def test_a_time_limit_that_is_noticed_late_is_our_own_fault() -> None:
    """As when the process was stopped for a while: the replica may well have answered in time."""
    times = iter([0.0, 60.0])
    async with serving(saying(then_hang=True)) as served:
        outcome = await Prober(ticks=lambda: next(times)).get(served.endpoint, HURRIED)
    assert outcome == ProberError("the prober stood still")


async def test_running_out_of_files_is_our_own_fault() -> None:
    async with serving(saying(status(200))) as served:
        outcome = await _without_files(lambda: Prober().get(served.endpoint, PATIENT))
    assert isinstance(outcome, ProberError)


async def _without_files(attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
    import resource  # noqa: PLC0415  only this test needs it

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # What is open stays so; and whatever else is closed meanwhile makes room for nothing.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        return await attempt()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_redirect_to_another_own_port_is_asked_there() -> None:
    async with serving(saying(status(503))) as other:
        to = f"Location: http://127.0.0.1:{other.endpoint.port}/there"
        async with serving(saying(status(307, to))) as served:
            own = {8000: served.endpoint.port, 9000: other.endpoint.port}
            assert await Prober().get(served.endpoint, PATIENT, own) == Failure("HTTP 503")
            assert await Prober().get(served.endpoint, PATIENT, {8000: served.endpoint.port}) == Success()
    assert [head.split()[1] for head in other.heads] == ["/there"]


async def test_nothing_is_sent_to_an_address_that_no_replica_has() -> None:
    async with serving(saying(status(200))) as served:
        prober = Prober(addresses=Addresses(inner_ports=frozenset({served.endpoint.port})))
        refused = Failure(f"{served.endpoint.authority} can be no replica's address")
        assert await prober.get(served.endpoint, PATIENT) == refused
        assert await prober.connect(served.endpoint) == refused
        assert served.heads == []
    elsewhere = Endpoint("169.254.169.254", 80)
    assert await Prober().get(elsewhere, PATIENT) == Failure("169.254.169.254:80 can be no replica's address")
