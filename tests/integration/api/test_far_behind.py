"""What takes long says how far it is, and keeps nobody waiting who could not be served anyway."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from libs.common.events.envelope import Recorded
from libs.common.log.memory import MemoryLog
from services.api.archive import verification
from services.api.edge.routes import log as log_routes
from services.api.readmodels import projector
from tests.support.polling import eventually
from tests.support.rest import RunningApi, a_config, running_api


async def test_verify_says_how_far_it_is(api: RunningApi, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verification, "AT_ONCE", 2)
    monkeypatch.setattr(log_routes, "TELL_EVERY_S", 0.0)
    await api.submit(a_config())
    await api.submit(a_config("b"))
    answer = await api.http.get("/v1/log/verify", headers={"accept": "application/x-ndjson"})
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in answer.text.splitlines()] == [
        {"verified": 2, "events": 6},
        {"verified": 4, "events": 6},
        {"verified": 6, "events": 6},
        await api.get("/v1/log/verify"),
    ]


async def test_from_far_behind_the_api_is_up_and_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever asks for what cannot be shown soon is told so at once, and nothing is appended unseen."""
    log = MemoryLog()
    async with running_api(tmp_path / "one", log) as api:
        for number in range(4):
            await api.submit(a_config(f"d{number}"))
    monkeypatch.setattr(projector, "FAR_BEHIND", 5)
    reading = HeldLog(log)
    async with running_api(tmp_path / "two", reading) as api:
        held = "read models: 0 of 12 events"
        assert api.api.projector.progress.held_by == held
        answer = await api.http.get("/v1/deployments")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert held in answer.json()["message"]
        answer = await api.http.post(
            "/v1/deployments", json={"config": a_config("new"), "projectId": "default"}
        )
        assert (answer.status_code, held in answer.text) == (503, True)
        assert await log.last_sequence() == 12
        reading.go_on.set()
        await eventually(lambda: not api.api.projector.progress.held_by)
        assert len((await api.get("/v1/deployments"))["items"]) == 4
        await api.submit(a_config("new"))


class HeldLog:
    """A log that gives its past only when it is told to."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.go_on = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def read(self, *filters: str, after: int = 0, until: int | None = None) -> AsyncIterator[Recorded]:
        await self.go_on.wait()
        async for event in self._log.read(*filters, after=after, until=until):
            yield event
