"""What containers of simulated nodes write: their kubelets have no logs, so a proxy answers for them."""

import asyncio
from collections import defaultdict

from aiohttp import web

from libs.common.clock import utc_now
from libs.common.cluster.kubernetes import names
from tests.support.api_server import status
from tests.support.fault_proxy import FaultProxy, Forward
from tests.support.kubelet_logs import ContainerLog, Record, served

_ALWAYS = 1_000_000


class PlayedKubelets:
    """Answers `pods/log` at a proxy before the API server; everything else is the server's."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._logs: dict[str, list[ContainerLog]] = defaultdict(lambda: [ContainerLog()])
        """By pod, that of each of its processes."""
        self._ended: set[str] = set()
        self._silent: set[str] = set()
        self._followed: set[str] = set()
        self._news = asyncio.Event()
        proxy.on("GET", "pods", self._answer, times=_ALWAYS)

    def write(self, replica_id: str, *messages: str) -> None:
        for message in messages:
            now = utc_now()
            log = self._of(replica_id)[-1]
            # The runtime's clock never gives two lines one time here.
            at_ns = now.microsecond * 1000 + len(log.records) % 1000
            log.write(Record(now.replace(microsecond=0), at_ns, message))
        self._tell()

    def crash(self, replica_id: str) -> None:
        """Its process ends and another one begins; a kubelet keeps the logs of two."""
        logs = self._of(replica_id)
        logs.append(ContainerLog())
        del logs[:-2]

    def end(self, replica_id: str) -> None:
        """Its process ends for good."""
        self._ended.add(names.pod_name(replica_id))
        self._tell()

    def fall_silent(self, replica_id: str) -> None:
        """The node of this one does not answer."""
        self._silent.add(names.pod_name(replica_id))

    def asked(self, replica_id: str) -> int:
        """How often its log was read."""
        return sum(log.asked for log in self._of(replica_id))

    def followed(self, replica_id: str) -> bool:
        """Whether somebody waits for what it writes, or has."""
        return names.pod_name(replica_id) in self._followed

    def _of(self, replica_id: str) -> list[ContainerLog]:
        return self._logs[names.pod_name(replica_id)]

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _answer(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        if not request.path.endswith("/log"):
            return await forward()
        pod = request.path.split("/")[-2]
        if pod in self._silent:
            return status(500, 'Get "https://10.0.0.7:10250/containerLogs": dial tcp: no route to host')
        logs = self._logs[pod]
        if request.query.get("previous") == "true":
            if len(logs) < 2:
                return status(400, "previous terminated container not found")
            return web.Response(body=logs[-2].serve(request.query))
        if request.query.get("follow") != "true":
            return web.Response(body=logs[-1].serve(request.query))
        return await self._follow(request, pod, logs[-1])

    async def _follow(self, request: web.Request, pod: str, log: ContainerLog) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self._followed.add(pod)
        sent = 0
        while True:
            # What comes while this is written is news for the next time, the end too.
            news, has_ended = self._news, pod in self._ended
            wrote = served(log.records, request.query)
            await response.write(wrote[sent:])
            sent = len(wrote)
            if has_ended:
                return response
            await news.wait()
