import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from tests.support.nats_server import NatsEndpoint
from tests.support.service_process import ServiceProcess


@pytest.fixture
async def reconciler(
    tmp_path: Path, nats_endpoint: NatsEndpoint, log_client: Client
) -> AsyncIterator[ServiceProcess]:
    """Not yet started. It ends well, whatever a test did to it."""
    assert log_client.is_connected
    service = ServiceProcess("reconciler", tmp_path, nats_endpoint.url)
    yield service
    if service.is_running:
        assert service.end(signal.SIGTERM) == 0
