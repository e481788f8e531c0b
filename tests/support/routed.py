"""The router over a memory log, with a real Envoy in front of real upstreams."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from libs.common import loopback
from libs.common.clock import Clock, Ticks, monotonic, utc_now
from libs.common.log.memory import MemoryLog
from libs.common.metrics.port import MemorySamples, SamplePublisher
from libs.common.runtime import Progress
from services.router.draining import PATIENCE_S as ENVOY_PATIENCE_S
from services.router.envoy_admin import EnvoyAdmin
from services.router.follower import Follower
from services.router.loop import DrainLoop, StatusLoop
from services.router.measuring.memory import CountsFile
from services.router.measuring.outbox import Outbox
from services.router.measuring.receiver import Receiver
from services.router.measuring.requests import RHYTHM, RequestCounts, Rhythm
from services.router.meeting_place import entered
from services.router.xds.cache import Cache
from services.router.xds.listener import HEADERS_SILENCE_S, make_listener
from services.router.xds.server import DiscoveryServer
from services.router.xds.types import Packed
from tests.support.deployments import Storyteller
from tests.support.envoy import EnvoyProcess
from tests.support.plain_http import plain_client
from tests.support.polling import eventually
from tests.support.upstream import Upstream


class Skipping:
    """The clock of a router, of which a test can skip some time."""

    def __init__(self) -> None:
        self.skipped_s = 0.0

    def __call__(self) -> float:
        return monotonic() + self.skipped_s


class RouterUnderTest:
    """The parts that `app.py` puts together, over a log in memory."""

    def __init__(
        self,
        log: MemoryLog,
        *,
        folder: Path,
        edge_port: int,
        deadline_s: float,
        settle_s: float,
        upload_deadline_s: float,
        headers_silence_s: float,
        patience_s: float,
        clock: Clock,
        ticks: Ticks,
        samples: SamplePublisher,
        counts_requests: bool,
        rhythm: Rhythm,
    ) -> None:
        self._folder = ExitStack()
        place = self._folder.enter_context(entered(folder))
        self.progress = Progress()
        listener = make_listener(
            edge_port,
            hosts=loopback.hosts(),
            upload_deadline_s=upload_deadline_s,
            headers_silence_s=headers_silence_s,
            counts_requests=counts_requests,
        )
        self.cache = Cache(Packed.of(listener))
        self.follower = Follower(log, self.cache, self.progress)
        self.admin = EnvoyAdmin(place)
        self.outbox = Outbox(samples)
        self.counts = RequestCounts(
            read_counters=self.admin.counters,
            exists=lambda deployment_id: deployment_id in self.follower.views.by_id,
            file=CountsFile(place.descriptor),
            outbox=self.outbox,
            ticks=ticks,
            rhythm=rhythm,
        )
        receiver = Receiver(
            self.counts,
            self.outbox,
            needed=lambda: self.follower.measured_in_flight,
            clock=clock,
            ticks=ticks,
        )
        self.server = DiscoveryServer(
            self.cache, place, clock=clock, ticks=ticks, patience_s=patience_s, beside=receiver.add_to
        )
        self.status = StatusLoop(self.cache, self.progress, ticks=ticks)
        self.drains = DrainLoop(
            log,
            self.follower,
            self.cache,
            self.server,
            self.admin,
            ticks=ticks,
            deadline_s=deadline_s,
            settle_s=settle_s,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks.append(asyncio.ensure_future(self.follower.run()))
        await self.follower.caught_up.wait()
        await self.server.start()
        self._tasks.append(asyncio.ensure_future(self.drains.run()))
        self._tasks.append(asyncio.ensure_future(self.outbox.run()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.server.stop()
        await self.counts.stop()
        await self.admin.__aexit__()
        self._folder.close()


@dataclass
class Routed:
    log: MemoryLog
    envoy: EnvoyProcess
    edge_port: int
    deadline_s: float = 30.0
    settle_s: float = 0.1
    upload_deadline_s: float = 600.0
    headers_silence_s: float = HEADERS_SILENCE_S
    patience_s: float = ENVOY_PATIENCE_S
    clock: Clock = utc_now
    ticks: Ticks = monotonic
    samples: SamplePublisher = field(default_factory=MemorySamples)
    counts_requests: bool = True
    rhythm: Rhythm = RHYTHM
    router: RouterUnderTest | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.edge_port}"

    async def start_router(self) -> RouterUnderTest:
        self.router = RouterUnderTest(
            self.log,
            folder=self.envoy.folder,
            edge_port=self.edge_port,
            deadline_s=self.deadline_s,
            settle_s=self.settle_s,
            upload_deadline_s=self.upload_deadline_s,
            headers_silence_s=self.headers_silence_s,
            patience_s=self.patience_s,
            clock=self.clock,
            ticks=self.ticks,
            samples=self.samples,
            counts_requests=self.counts_requests,
            rhythm=self.rhythm,
        )
        await self.router.start()
        return self.router

    async def stop_router(self) -> None:
        if self.router is not None:
            await self.router.stop()
            self.router = None

    async def with_deadline(self, *, seconds: float) -> None:
        """Go on with another drain deadline, by a router that starts again."""
        self.deadline_s = seconds
        await self.stop_router()
        await self.start_router()

    async def is_listening(self) -> bool:
        try:
            async with plain_client() as client:
                return (await client.get(self.base_url)).status_code > 0
        except httpx.HTTPError:
            return False

    def deployment(self) -> Storyteller:
        return Storyteller(self.log)

    def is_current(self, deployment: Storyteller) -> bool:
        """Whether every Envoy has acknowledged all that it was sent, and routes by the present endpoints."""
        assert self.router is not None
        sessions = self.router.cache.sessions
        return bool(sessions) and all(
            s.has_acknowledged(deployment.deployment_id) and s.pending_since() is None for s in sessions
        )


async def a_served(routed: Routed, *upstreams: Upstream) -> Storyteller:
    """A deployment whose ready replicas are these upstreams, and which answers."""
    deployment = routed.deployment()
    await deployment.create(replicas=len(upstreams))
    for upstream in upstreams:
        await deployment.ready(upstream.name, upstream.address)
    await eventually(lambda: routed.is_current(deployment), because="Envoy never acknowledged the endpoints")
    async with plain_client(base_url=routed.base_url) as client:
        await answer_with(client, deployment, 200)
    return deployment


async def answer_with(client: httpx.AsyncClient, deployment: Storyteller, status: int) -> httpx.Response:
    """The first answer that has this status."""

    async def ask() -> httpx.Response | None:
        response = await client.get("/", headers={"host": deployment.host})
        return response if response.status_code == status else None

    answer = await eventually(ask, because=f"no answer ever had status {status}")
    assert isinstance(answer, httpx.Response)
    return answer


async def answered_by(client: httpx.AsyncClient, deployment: Storyteller) -> str:
    """The name of the upstream that answers now."""
    response = await client.get("/", headers={"host": deployment.host})
    assert response.status_code == 200, response.text
    return str(response.json()["name"])


def assert_error(response: httpx.Response, error_code: str) -> None:
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["error_code"] == error_code
    assert body["error"]
