from collections.abc import AsyncIterator

import httpx
import pytest

from libs.common.log.memory import MemoryLog
from tests.support.envoy import EnvoyProcess
from tests.support.free_ports import free_port
from tests.support.plain_http import plain_client
from tests.support.polling import eventually
from tests.support.routed import Routed


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
