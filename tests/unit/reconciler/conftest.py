"""Thousands of played steps would each print what happened."""

from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from tests.unit.reconciler.stage import Stage


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    for process in stage.processes:
        await process.kill()
