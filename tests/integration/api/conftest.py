"""The api over a log in memory, and over a real broker."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common.log.jetstream import JetStreamLog
from services.api.readmodels import projector
from tests.support.polling import PATIENCE_S
from tests.support.rest import RunningApi, running_api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[RunningApi]:
    async with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def durable_api(
    tmp_path: Path, jetstream_log: JetStreamLog, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningApi]:
    """Over JetStream. Its reads wait as long as a busy broker may take to say where the log ends."""
    monkeypatch.setattr(projector, "ASK_FOR_S", PATIENCE_S)
    async with running_api(tmp_path, jetstream_log) as running:
        yield running
