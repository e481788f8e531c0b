import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from libs.common.log.memory import MemoryLog
from libs.common.metrics.port import MemorySamples
from services.router.measuring.requests import Rhythm
from tests.support.envoy import EnvoyProcess
from tests.support.free_ports import free_port
from tests.support.measured import Published, until_cancelled
from tests.support.plain_http import plain_client
from tests.support.polling import eventually
from tests.support.routed import Routed

SWEPT_S = 600.0
"""As the platform has it: longer than a machine makes anything stand still."""


@pytest.fixture
async def routed(envoy: EnvoyProcess) -> AsyncIterator[Routed]:
    """A running router and Envoy without a deployment."""
    setup = Routed(MemoryLog(), envoy, free_port())
    await setup.start_router()
    await envoy.start()
    await eventually(setup.is_listening, because="Envoy never opened its listener")
    yield setup
    await envoy.stop()
    await setup.stop_router()


@pytest.fixture
async def client(routed: Routed) -> AsyncIterator[httpx.AsyncClient]:
    # It keeps its connections however long a test stands still: another one may not be had.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=None)
    async with plain_client(base_url=routed.base_url, limits=limits) as client:
        yield client


@pytest.fixture
async def measured(request: pytest.FixtureRequest, envoy: EnvoyProcess) -> AsyncIterator[Routed]:
    """Like `routed`, with an Envoy that pushes each second. Its parameter: how often it sweeps, in seconds,
    and forgets what was silent between two sweeps."""
    sweep_s = getattr(request, "param", SWEPT_S)
    rhythm = Rhythm(push_s=1.0, sweep_s=sweep_s, look_s=1.5)
    setup = Routed(MemoryLog(), envoy, free_port(), samples=MemorySamples(), rhythm=rhythm)
    envoy.flush_interval, envoy.eviction_interval = "1s", f"{sweep_s:.0f}s"
    await setup.start_router()
    await envoy.start()
    await eventually(setup.is_listening, because="Envoy never opened its listener")
    yield setup
    await envoy.stop()
    await setup.stop_router()


@pytest.fixture
async def published(measured: Routed) -> AsyncIterator[Published]:
    assert isinstance(measured.samples, MemorySamples)
    published = Published(measured.samples)
    task = asyncio.ensure_future(published.run())
    yield published
    await until_cancelled(task)
