"""How the API server is asked when it is in trouble. Everything goes over a socket."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from libs.common.clock import monotonic
from libs.common.cluster.kubernetes import client as client_module
from libs.common.cluster.kubernetes.client import WRITES_AT_ONCE
from libs.common.cluster.kubernetes.patience import Unanswered
from libs.common.cluster.kubernetes.refusals import Gone
from libs.common.errors import CannotApply, ClusterUnavailable
from tests.support.api_server import connected, serving, status, watched, write_kubeconfig
from tests.support.polling import eventually

POD = {"metadata": {"name": "r-1"}}
OK = web.json_response(POD)


@pytest.fixture
async def server():
    async with serving() as running:
        running.then(OK)
        yield running


async def test_429_waits_as_long_as_it_says(server, tmp_path):
    async with connected(server, tmp_path) as client:
        server.then(status(429, Retry_After="1"), OK)
        before = monotonic()
        assert await client.create("pods", POD) == POD
        assert monotonic() - before >= 1.0


async def test_at_most_so_many_writes_are_under_way_and_reads_do_not_wait_for_them(server, tmp_path):
    release = asyncio.Event()

    async def slowly(request):
        await request.read()
        if request.method == "POST":
            await release.wait()
        return web.json_response(POD)

    server.then(slowly)
    async with connected(server, tmp_path) as client:
        writes = [asyncio.ensure_future(client.create("pods", POD)) for _ in range(3 * WRITES_AT_ONCE)]
        await eventually(lambda: server.under_way == WRITES_AT_ONCE)
        await client.get("pods", "r-1")
        release.set()
        await asyncio.gather(*writes)
    assert server.most_under_way == WRITES_AT_ONCE + 1


async def test_however_many_logs_are_followed_other_requests_do_not_wait_for_them(server, tmp_path):
    release = asyncio.Event()

    async def follow(request):
        if request.path.endswith("/log"):
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"a line\n")
            await release.wait()
            return response
        await request.read()
        return web.json_response(POD)

    async def read(client, number):
        return [piece async for piece in client.follow_log(f"r-{number}", {})]

    number = 2 * aiohttp.TCPConnector().limit
    server.then(follow)
    async with connected(server, tmp_path) as client:
        reading = [asyncio.ensure_future(read(client, each)) for each in range(number)]
        await eventually(lambda: server.under_way == number)
        assert await client.get("pods", "r-1") == POD
        assert await client.create("pods", POD) == POD
        release.set()
        assert await asyncio.gather(*reading) == [[b"a line\n"]] * number


async def test_a_request_that_is_never_answered_ends(server, tmp_path):
    async def never(_):
        await asyncio.Event().wait()

    server.then(never)
    async with connected(server, tmp_path, takes_s=0.2) as client:
        with pytest.raises(Unanswered, match="get pods r-1 timed out"):
            await client.get("pods", "r-1")


async def test_a_server_that_is_away_is_unavailable(server, tmp_path):
    async with connected(server, tmp_path) as client:
        config = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9", {})
        assert config
        with pytest.raises(Unanswered, match="cannot be reached: create pods r-1"):
            await client.create("pods", POD)


@pytest.mark.parametrize("piece", [0, 1_000, 100_000])
async def test_a_line_of_a_watch_may_have_two_mebibytes(server, tmp_path, piece):
    large = {"type": "ADDED", "object": {"metadata": {"name": "x" * 2 * 1024 * 1024}}}
    small = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    server.then(watched(large, small, large, piece=piece))
    async with connected(server, tmp_path) as client:
        assert [event async for event in client.watch("pods", "a=b", version="1")] == [large, small, large]


async def test_a_line_without_an_end_is_not_read_for_ever(server, tmp_path):
    server.then(watched({"type": "ADDED", "object": "x" * 5 * 1024 * 1024}))
    async with connected(server, tmp_path) as client:
        with pytest.raises(ClusterUnavailable, match="a line of more than 4194304 bytes"):
            [event async for event in client.watch("pods", "a=b", version="1")]


async def test_a_silent_watch_ends(server, tmp_path, monkeypatch):
    monkeypatch.setattr(client_module, "SILENT_S", 0.2)
    server.then(watched(then=asyncio.Event()))
    async with connected(server, tmp_path) as client:
        with pytest.raises(ClusterUnavailable, match="watch pods"):
            [event async for event in client.watch("pods", "a=b", version="1")]


@pytest.mark.parametrize("is_event", [True, False])
async def test_a_version_that_is_too_old_is_said_in_either_way(server, tmp_path, is_event):
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
    server.then(watched(gone) if is_event else status(410, "too old"))
    async with connected(server, tmp_path) as client:
        with pytest.raises(Gone, match="too old"):
            [event async for event in client.watch("pods", "a=b", version="1")]


async def test_a_list_in_pages_is_one_list(server, tmp_path):
    def page(name, following):
        return web.json_response(
            {"items": [{"metadata": {"name": name}}], "metadata": {"resourceVersion": "7", **following}}
        )

    server.then(page("a", {"continue": "next"}), page("b", {}))
    async with connected(server, tmp_path) as client:
        items, version = await client.list("pods", "a=b")
    assert ([item["metadata"]["name"] for item in items], version) == (["a", "b"], "7")


async def test_what_is_refused_says_what_was_asked(server, tmp_path):
    server.then(status(422, "spec.containers[0].image: Required value"))
    async with connected(server, tmp_path) as client:
        with pytest.raises(CannotApply, match="image: Required value"):
            await client.create("pods", POD)
