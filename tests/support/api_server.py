"""An HTTP server on the loopback that answers what a test tells it to, as an API server may.

The wire is real: it is here for what a real API server does only when it is in trouble.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from aiohttp import web

from libs.common.clock import Ticks, monotonic, utc_now
from libs.common.cluster.kubernetes.client import Client

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def status(code: int, message: str = "", **headers: str) -> web.Response:
    body = {"kind": "Status", "code": code, "message": message}
    return web.json_response(
        body, status=code, headers={key.replace("_", "-"): value for key, value in headers.items()}
    )


@dataclass
class ApiServer:
    """answers: one for each request, in order; the last one for all that follow."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    """The `authorization` of each request so far."""
    under_way: int = 0
    most_under_way: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("authorization", ""))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            return await answer(request)
        finally:
            self.under_way -= 1

    def then(self, *answers: web.Response | Answer) -> None:
        def always(response: web.Response) -> Answer:
            async def answer(request: web.Request) -> web.StreamResponse:
                await request.read()
                return web.Response(
                    status=response.status, body=response.body, headers=dict(response.headers)
                )

            return answer

        self.answers = [always(each) if isinstance(each, web.Response) else each for each in answers]


@asynccontextmanager
async def serving() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    runner = web.AppRunner(_app(server), shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def _app(server: ApiServer) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    return app


def watched(*events: dict[str, object], piece: int = 0, then: asyncio.Event | None = None) -> Answer:
    """A watch that says these events, in pieces of so many bytes, and goes on until `then`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        said = b"".join(json.dumps(event).encode() + b"\n" for event in events)
        for start in range(0, len(said), piece or len(said) or 1):
            await response.write(said[start : start + (piece or len(said))])
        if then is not None:
            await then.wait()
        return response

    return answer


def write_kubeconfig(path: Path, url: str, user: dict[str, object]) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": url}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "us"}}],
        "users": [{"name": "us", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@asynccontextmanager
async def connected(
    server: ApiServer,
    directory: Path,
    *,
    user: dict[str, object] | None = None,
    ticks: Ticks = monotonic,
    takes_s: float = 20.0,
) -> AsyncIterator[Client]:
    """As that user of a kubeconfig, or by a token."""
    config = write_kubeconfig(
        directory / "config", server.url, user if user is not None else {"token": "first"}
    )
    client = Client(config, "replicas", clock=utc_now, ticks=ticks, takes_s=takes_s)
    try:
        yield client
    finally:
        await client.close()
