"""A NATS server for one measurement, with a provisioned, empty log."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nats.aio.client import Client

from libs.common.log.provision import provision
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import connected


@asynccontextmanager
async def broker() -> AsyncIterator[Client]:
    """As the platform runs it: every acknowledged event is on the disk."""
    with tempfile.TemporaryDirectory() as directory:
        server = NatsProcess(Path(directory))
        server.start()
        try:
            async with connected(server.url) as client:
                await provision(client)
                yield client
        finally:
            server.stop()
