"""A proxy before a real API server, which does to its requests and answers what a test tells it to."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from libs.common.clock import monotonic
from tests.support.api_server import status, write_kubeconfig
from tests.support.polling import let_time_pass

Forward = Callable[[], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request, Forward], Awaitable[web.StreamResponse]]
Choose = Callable[[str, str], Fault | None]
"""What the next request meets, by its method and by the kind of its objects."""

_HOP_BY_HOP = {"host", "content-length", "transfer-encoding", "connection", "content-encoding"}


@dataclass
class FaultProxy:
    """kubeconfig: leads through it. writes: `METHOD kind` of each write that came, in order. reminds_every_s:
    how often each watch gets a bookmark besides those that the server sends every minute.
    watches_are_late_by_s: what comes from now on is told so much later, in order. choose: asked of each
    request of which `on` says nothing, until `mend`. met: how many requests met a fault, watches were cut,
    and words of a watch were held back. taken: each write that the server took: method, kind and answer."""

    upstream: str
    trusted: ssl.SSLContext
    kubeconfig: Path
    writes: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    reminds_every_s: float | None = None
    watches_are_late_by_s: float = 0
    choose: Choose | None = None
    met: int = 0
    taken: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    _faults: list[tuple[str, str, int, Fault]] = field(default_factory=list)
    _watches: set[asyncio.Transport] = field(default_factory=set)
    _speaking: asyncio.Event = field(default_factory=asyncio.Event)
    _session: aiohttp.ClientSession | None = None
    _handling: set[asyncio.Task[None]] = field(default_factory=set)
    _is_over: bool = False

    def on(self, method: str, kind: str, fault: Fault, *, times: int = 1) -> None:
        """Do this to the next requests of the method for objects of the kind, such as `pods`; `*` is any."""
        self._faults.append((method, kind, times, fault))

    def mend(self) -> None:
        self._faults.clear()
        self.choose = None
        self.watches_are_late_by_s = 0
        self.let_watches_speak()

    def cut_watches(self) -> None:
        self.met += len(self._watches)
        for transport in self._watches:
            transport.abort()

    def silence_watches(self) -> None:
        """They stay open, and nothing more comes until `let_watches_speak`."""
        self._speaking.clear()

    def let_watches_speak(self) -> None:
        self._speaking.set()

    async def end(self) -> None:
        """Give up what is still handled, with its connections to the server, and begin nothing more, for
        whoever lost an answer asks again at once. The runner's own clean-up cancels it too, and does not
        wait for it."""
        self._is_over = True
        for task in self._handling:
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self._is_over:
            return status(503, "the proxy is at its end")
        task = asyncio.current_task()
        assert task is not None
        self._handling.add(task)
        try:
            return await self._handle(request)
        finally:
            self._handling.discard(task)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        kind = next((one for one in ("pods", "configmaps") if f"/{one}" in request.path), "other")
        method = "WATCH" if request.query.get("watch") else request.method
        (self.reads if method in ("GET", "WATCH") else self.writes).append(f"{method} {kind}")

        async def forward() -> web.StreamResponse:
            return await self._forward(request, method, kind)

        for number, (of, what, times, fault) in enumerate(self._faults):
            if of in ("*", method) and what in ("*", kind):
                if times == 1:
                    del self._faults[number]
                else:
                    self._faults[number] = (of, what, times - 1, fault)
                self.met += 1
                return await fault(request, forward)
        if self.choose is not None and (chosen := self.choose(method, kind)) is not None:
            self.met += 1
            return await chosen(request, forward)
        return await forward()

    async def _forward(self, request: web.Request, method: str, kind: str) -> web.StreamResponse:
        if method != "WATCH":  # whoever asked may be dead by now
            async with self._asked(request) as answer:
                body = await answer.read()
                if method != "GET" and answer.status < 300:
                    self.taken.append((method, kind, json.loads(body)))
                return web.Response(
                    status=answer.status,
                    body=body,
                    headers={k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP},
                )
        transport = request.transport
        assert transport is not None
        response = web.StreamResponse()
        # From now on, so that one which is only being opened is cut too.
        self._watches.add(transport)
        try:
            async with self._asked(request) as answer:
                response.set_status(answer.status)
                await response.prepare(request)
                async with asyncio.TaskGroup() as group:
                    reminding = group.create_task(self._remind(request, response))
                    said: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
                    telling = group.create_task(self._tell(said, response))
                    async for lines in _whole_lines(answer.content):
                        said.put_nowait((monotonic() + self.watches_are_late_by_s, lines))
                    said.put_nowait(None)
                    await telling
                    reminding.cancel()
        except* ConnectionError:
            pass  # it was cut
        finally:
            self._watches.discard(transport)
        return response

    async def _tell(
        self, said: asyncio.Queue[tuple[float, bytes] | None], response: web.StreamResponse
    ) -> None:
        """Each when it is due, and after those that were said before it; until None."""
        while (one := await said.get()) is not None:
            due, lines = one
            self.met += due > monotonic() or not self._speaking.is_set()
            await let_time_pass(max(0, due - monotonic()))
            await self._speaking.wait()
            await response.write(lines)

    async def _remind(self, request: web.Request, response: web.StreamResponse) -> None:
        """Of what is known to whoever watches: nothing is skipped by it."""
        known = {"metadata": {"resourceVersion": request.query["resourceVersion"]}}
        bookmark = json.dumps({"type": "BOOKMARK", "object": known}).encode() + b"\n"
        while self.reminds_every_s is not None:
            await let_time_pass(self.reminds_every_s)
            await self._speaking.wait()
            await response.write(bookmark)

    @asynccontextmanager
    async def _asked(self, request: web.Request) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._session is not None
        async with self._session.request(
            request.method,
            f"{self.upstream}{request.path_qs}",
            headers={key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP},
            data=await request.read(),
            ssl=self.trusted,
        ) as answer:
            yield answer


async def _whole_lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """What comes, cut behind its newest line that is whole, so that another may be put in between."""
    held = b""
    async for piece in content.iter_any():
        whole, end, held = (held + piece).rpartition(b"\n")
        if end:
            yield whole + end
    if held:
        yield held


def answer(code: int, message: str = "", **headers: str) -> Fault:
    """Say this instead of asking the server."""

    async def fault(request: web.Request, _: Forward) -> web.StreamResponse:
        await request.read()
        return status(code, message, **headers)

    return fault


async def lose_answer(request: web.Request, forward: Forward) -> web.StreamResponse:
    """The server does it, and nobody hears that it has."""
    response = await forward()
    assert request.transport is not None
    request.transport.abort()
    return response


async def lose_request(request: web.Request, _: Forward) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def hold(reached: asyncio.Event, until: asyncio.Event) -> Fault:
    """Stop before the server hears of it, as a paused process would."""

    async def fault(_: web.Request, forward: Forward) -> web.StreamResponse:
        reached.set()
        await until.wait()
        return await forward()

    return fault


@asynccontextmanager
async def before(kubeconfig: Path, directory: Path) -> AsyncIterator[FaultProxy]:
    """kubeconfig: of the real server, whose user has a token."""
    config = yaml.safe_load(await asyncio.to_thread(kubeconfig.read_text))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trusted = ssl.create_default_context(cafile=cluster.get("certificate-authority"))
    if data := cluster.get("certificate-authority-data"):
        trusted.load_verify_locations(cadata=base64.b64decode(data).decode())
    proxy = FaultProxy(cluster["server"], trusted, directory / "through-proxy")
    proxy.mend()
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    write_kubeconfig(proxy.kubeconfig, f"http://127.0.0.1:{runner.addresses[0][1]}", user)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        proxy._session = session
        try:
            yield proxy
        finally:
            with suppress(Exception):
                proxy.cut_watches()
            await proxy.end()
            await runner.cleanup()
