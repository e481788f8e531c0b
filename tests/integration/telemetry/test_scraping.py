"""What a service answers at its metrics' port, to whom, and how others find it."""

import asyncio
import json
import multiprocessing
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from libs.common import scrape_targets
from libs.common.scrape_targets import TARGETS
from libs.common.telemetry import scraping
from libs.common.telemetry.scraping import HEAD_LIMIT, MOST_CONNECTIONS, TOKEN
from tests.support.polling import PATIENCE_S, let_time_pass


def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("asked", "How often", registry=made).inc(7)
    return made


async def ask(port: int, head: str) -> bytes:
    """What comes; nothing from who does not read all that is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with suppress(ConnectionError):
        writer.write(head.replace("\n", "\r\n").encode())
        answer = await reader.read()
    await leave(writer)
    return answer


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def request(token: str, *, method: str = "GET", path: str = "/metrics") -> str:
    return f"{method} {path} HTTP/1.1\nHost: a\nAuthorization: Bearer {token}\n\n"


async def test_whoever_has_the_token_reads_the_metrics(tmp_path: Path) -> None:
    async with scraping.served("health", tmp_path / "run", registry()) as port:
        token = (tmp_path / "run" / TOKEN).read_text()
        answer = await ask(port, request(token))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\nasked_total 7.0\n" in answer
        assert (await ask(port, request(token, path="/metrics?a=b"))).startswith(b"HTTP/1.1 200 ")
        in_lower_case = request(token).replace("Bearer", "bearer")
        assert (await ask(port, in_lower_case)).startswith(b"HTTP/1.1 200 ")
        assert (await ask(port, request(token, path="/"))).startswith(b"HTTP/1.1 404 ")
        assert (await ask(port, request(token, method="POST"))).startswith(b"HTTP/1.1 405 ")


async def test_nobody_else_reads_anything(tmp_path: Path) -> None:
    async with scraping.served("health", tmp_path, registry()) as port:
        token = (tmp_path / TOKEN).read_text()
        for head in (
            "GET /metrics HTTP/1.1\nHost: a\n\n",
            request(""),
            request(token[:-1]),
            request(token + "x"),
            request("é"),
            f"GET /metrics HTTP/1.1\nAuthorization: Basic {token}\n\n",
            f"GET /metrics HTTP/1.1\nAuthorization: Bearer {token}\nAuthorization: Bearer {token}\n\n",
            request("x", path="/nothing"),
        ):
            assert (await ask(port, head)).startswith(b"HTTP/1.1 401 "), head
    for name in (TOKEN, TARGETS):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


async def test_a_request_that_is_too_long_gets_no_answer(tmp_path: Path) -> None:
    async with scraping.served("health", tmp_path, registry()) as port:
        assert await ask(port, f"GET /metrics HTTP/1.1\nA: {'a' * 4 * HEAD_LIMIT}") == b""


async def drip(writer: asyncio.StreamWriter) -> None:
    """A request that never ends, a byte at a time; returns when the other side has given it up."""
    with suppress(ConnectionError):
        writer.write(b"GET /metrics HTTP/1.1\r\nA: ")
        while not writer.is_closing():
            writer.write(b"a")
            await writer.drain()
            await let_time_pass(0.01)


async def test_who_holds_connections_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes takes the place of who has been there longest without showing the token."""
    monkeypatch.setattr(scraping, "ANSWERED_WITHIN_S", PATIENCE_S)
    async with scraping.served("health", tmp_path, registry()) as port:
        token = (tmp_path / TOKEN).read_text()
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
        dripping = [asyncio.ensure_future(drip(writer)) for _, writer in held[::2]]
        for _ in range(3):
            assert await is_answered(port, token)
        assert await ended(held[0][0])
        assert not any(reader.at_eof() for reader, _ in held[1:])
        for _, writer in held:
            await leave(writer)
        await asyncio.gather(*dripping)


async def ended(reader: asyncio.StreamReader) -> bool:
    """Without an answer."""
    with suppress(ConnectionError):
        return await reader.read() == b""
    return True


@pytest.mark.parametrize("dripping", [False, True])
async def test_who_holds_a_connection_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, dripping: bool
) -> None:
    monkeypatch.setattr(scraping, "ANSWERED_WITHIN_S", 0.5)
    async with scraping.served("health", tmp_path, registry()) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
        working = [asyncio.ensure_future(drip(writer)) for _, writer in held if dripping]
        for reader, writer in held:
            assert await ended(reader)
            await leave(writer)
        await asyncio.gather(*working)


async def is_answered(port: int, token: str) -> bool:
    return (await ask(port, request(token))).startswith(b"HTTP/1.1 200 ")


async def test_a_service_comes_back_to_its_port_if_that_is_free(tmp_path: Path) -> None:
    async with (
        scraping.served("health", tmp_path, registry()) as first,
        scraping.served("router", tmp_path, registry()) as other,
    ):
        assert other != first
    async with scraping.served("health", tmp_path, registry()) as again:
        assert again == first
        async with scraping.served("health", tmp_path, registry()) as second:
            assert second not in (first, other)
    assert targets(tmp_path) == {"health": f"127.0.0.1:{second}", "router": f"127.0.0.1:{other}"}


def targets(run: Path) -> dict[str, str]:
    listed = json.loads((run / TARGETS).read_text())
    return {each["labels"]["process"]: each["targets"][0] for each in listed}


def _list(run: Path, service: str, port: int) -> None:
    for _ in range(20):
        scrape_targets.list_target(run, service, port)
        scraping.token_in(run)


async def test_services_that_start_at_once_are_all_listed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    services = {f"s{number}": 1000 + number for number in range(4)}
    processes = [context.Process(target=_list, args=(tmp_path, *each)) for each in services.items()]
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.join)
        assert process.exitcode == 0
    assert targets(tmp_path) == {name: f"127.0.0.1:{port}" for name, port in services.items()}


def _serve(run: Path, ports: "multiprocessing.Queue[int]", process: str = "") -> None:
    async def serve() -> None:
        async with scraping.served("health", run, registry(), process=process) as port:
            ports.put(port)
            await asyncio.Event().wait()

    asyncio.run(serve())


async def test_two_copies_of_a_service_are_both_listed_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    copy = context.Process(target=_serve, args=(tmp_path, ports))
    copy.start()
    try:
        first = await asyncio.to_thread(ports.get)
        async with scraping.served("health", tmp_path, registry()) as second:
            assert addresses(tmp_path) == {f"127.0.0.1:{first}", f"127.0.0.1:{second}"}
    finally:
        copy.kill()
        await asyncio.to_thread(copy.join)
    async with scraping.served("health", tmp_path, registry()) as third:
        assert third in (first, second)
        assert addresses(tmp_path) == {f"127.0.0.1:{third}"}


async def test_only_what_is_to_run_stays_listed_and_a_copy_that_somebody_else_runs(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    copy = context.Process(target=_serve, args=(tmp_path, ports, "health-2"))
    copy.start()
    try:
        second = await asyncio.to_thread(ports.get)
        for name, port in (("health", 1000), ("health-3", 1001)):
            scrape_targets.list_target(tmp_path, "health", port, process=name)
        scrape_targets.keep_only(tmp_path, {"health", "router"})
        assert targets(tmp_path) == {"health": "127.0.0.1:1000", "health-2": f"127.0.0.1:{second}"}
    finally:
        copy.kill()
        await asyncio.to_thread(copy.join)
    scrape_targets.keep_only(tmp_path, {"health", "router"})
    assert targets(tmp_path) == {"health": "127.0.0.1:1000"}


def test_no_list_is_made_where_there_is_none(tmp_path: Path) -> None:
    scrape_targets.keep_only(tmp_path / "run", {"health"})
    assert list(tmp_path.iterdir()) == []


async def test_copies_have_the_label_of_their_service_and_names_of_their_own(tmp_path: Path) -> None:
    async with scraping.served("health", tmp_path, registry(), process="health") as first:
        async with scraping.served("health", tmp_path, registry(), process="health-2") as second:
            listed = json.loads((tmp_path / TARGETS).read_text())
            assert [each["labels"]["service"] for each in listed] == ["health", "health"]
        async with scraping.served("health", tmp_path, registry(), process="health-2") as again:
            assert again == second
            assert targets(tmp_path) == {
                "health": f"127.0.0.1:{first}",
                "health-2": f"127.0.0.1:{again}",
            }


async def test_what_an_earlier_version_listed_is_replaced(tmp_path: Path) -> None:
    earlier = {"targets": ["127.0.0.1:1"], "labels": {"service": "health-2"}}
    (tmp_path / TARGETS).write_text(json.dumps([earlier]))
    scrape_targets.list_target(tmp_path, "health", 1000, process="health-2")
    assert targets(tmp_path) == {"health-2": "127.0.0.1:1000"}


def addresses(run: Path) -> set[str]:
    return {each["targets"][0] for each in json.loads((run / TARGETS).read_text())}


async def test_a_list_that_was_damaged_is_made_anew(tmp_path: Path) -> None:
    for damaged in ("", "{", "7", "[7]"):
        (tmp_path / TARGETS).write_text(damaged)
        async with scraping.served("health", tmp_path, registry()) as port:
            assert targets(tmp_path) == {"health": f"127.0.0.1:{port}"}
