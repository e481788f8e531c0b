"""The REST application of the api over any log, in this process, without a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from libs.common.autoscaling.kept import PresentReasoning
from libs.common.clock import utc_now
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.domain import USUAL
from libs.common.log.memory import MemoryLog
from libs.common.machine_types.reading import bundled
from libs.common.metrics.port import SampleReader
from services.api.archive.importer import Importer
from services.api.commands.carry_out import Commands
from services.api.edge.rest import make_rest
from services.api.edge.routes.context import Api
from services.api.health.copies import Heartbeats
from services.api.points.store import PointStore
from services.api.readmodels.database import open_database
from services.api.readmodels.projector import Projector
from services.api.readmodels.queries import Queries
from tests.support.polling import PATIENCE_S, eventually
from tests.support.specs import LOCAL_OFFER

KEY = "test-key"
EDGE_PORT = 8081


@dataclass
class RunningApi:
    """http: sends the key with every request."""

    api: Api
    rest: FastAPI
    http: httpx.AsyncClient

    def with_reasoning(self, reasoning: PresentReasoning) -> None:
        """What the autoscaler keeps, from now on."""
        self.api = self.rest.state.api = replace(self.api, reasoning=reasoning)

    def with_samples(self, samples: SampleReader) -> None:
        """What METRICS holds, from now on."""
        self.api = self.rest.state.api = replace(self.api, samples=samples)

    def at(self, moment: datetime) -> None:
        """The time of day, from now on."""
        self.api = self.rest.state.api = replace(self.api, clock=lambda: moment)

    async def submit(self, config: dict[str, Any], **more: Any) -> str:
        answer = await self.http.post(
            "/v1/deployments", json={"config": config, "projectId": "default", **more}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["deploymentId"]

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def status(self, method: str, path: str, **how: Any) -> tuple[int, str]:
        """Status and error code of an answer."""
        answer = await self.http.request(method, path, **how)
        return answer.status_code, answer.json().get("code", "")

    async def take_in(self, export: bytes) -> int:
        """Import it, and wait until all of it is stored and shown; how many events it has."""
        answer = await self.http.post("/v1/log/import", content=export)
        assert answer.status_code in {200, 202}, answer.text  # 202: a slow machine goes on with it

        async def is_done() -> bool:
            return bool((await self.get("/v1/log/import"))["state"] == "done")

        await eventually(is_done)
        return int(answer.json()["events"])


@asynccontextmanager
async def running_api(home: Path, log: Any = None) -> AsyncIterator[RunningApi]:
    """log: an EventLog and Archive; one in memory, if none is given."""
    log = log or MemoryLog(source="specstream/api")
    engine = await open_database(home / "api" / "read.db")
    # A busy machine may take longer than the ten seconds after which a client is told to come again.
    projector = Projector(log, engine, visible_timeout_s=PATIENCE_S)
    points = PointStore(home / "api" / "points.db", most_bytes=2**30)

    @asynccontextmanager
    async def open_archive() -> AsyncIterator[Any]:
        yield log

    queries = Queries(engine)
    api = Api(
        log=log,
        archive=log,
        importer=Importer(home / "api" / "import", log, open_archive, projector.offered),
        exported_head=home / "api" / "exported-head.json",
        engine=engine,
        cluster=LocalCluster(home / "replicas"),
        machine_types=bundled(),
        commands=Commands.over(log, projector, LOCAL_OFFER),
        queries=queries,
        projector=projector,
        points=points,
        heartbeats=Heartbeats(),
        clock=utc_now,
        domain=USUAL,
        edge_port=EDGE_PORT,
    )
    rest = make_rest(api, api_key=KEY)
    working = asyncio.gather(projector.run(), api.importer.run())
    headers = {"authorization": f"Bearer {KEY}"}
    transport = httpx.ASGITransport(rest)
    try:
        await projector.caught_up.wait()
        async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as http:
            yield RunningApi(api, rest, http)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        points.close()
        queries.close()
        await engine.dispose()


def a_config(name: str = "demo", **resources: Any) -> dict[str, Any]:
    """A spec as a client writes it."""
    return {
        "name": name,
        "image": "example/app:1.0",
        "command": ["serve"],
        "resources": {"machineType": "C4", "ports": [8000], **resources},
    }
