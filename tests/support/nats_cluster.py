"""Three NATS servers as one cluster: there the log is replicated, and answers differ from one server's."""

from collections.abc import Iterator

import pytest

from tests.support.free_ports import free_port
from tests.support.nats_process import NatsProcess

SERVERS = 3


@pytest.fixture(scope="session")
def nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NatsProcess, ...]]:
    """The servers, running; `replicas=3` may still need a moment until a leader is elected."""
    directory = tmp_path_factory.mktemp("nats-cluster")
    routes = [free_port() for _ in range(SERVERS)]
    listed = ", ".join(f"nats-route://127.0.0.1:{port}" for port in routes)
    servers = tuple(
        NatsProcess(
            directory / f"n{number}",
            config=f"server_name: n{number}\n"
            f"cluster {{ name: specstream, host: 127.0.0.1, port: {port}, routes: [{listed}] }}",
        )
        for number, port in enumerate(routes)
    )
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_until_ready()
        yield servers
    finally:
        for server in servers:
            server.stop()
