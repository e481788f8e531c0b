"""Whatever comes in, nothing that OpenAPI describes answers 5xx, and every refusal has the one shape.

`test_fuzz.py` runs this in a process of its own: `python -m pytest tests/integration/api/fuzz.py`.
"""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case

from services.api.app import serve_rest
from services.api.edge.rest import make_rest
from services.api.edge.routes.context import Api
from services.api.settings import Settings
from tests.support.free_ports import free_port
from tests.support.polling import PATIENCE_S, eventually
from tests.support.rest import EDGE_PORT, KEY, a_config, running_api

EXAMPLES = 8


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The api on a real socket, in a thread of its own, with something in it."""
    home, port = tmp_path_factory.mktemp("fuzz"), free_port()
    ready, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(home, port, ready, stop)))
    thread.start()
    assert ready.wait(PATIENCE_S), "the api did not start"
    yield f"http://127.0.0.1:{port}"
    stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "the api did not stop"


async def _serve(home: Path, port: int, ready: threading.Event, stop: threading.Event) -> None:
    settings = Settings(home=home, api_port=port, edge_port=EDGE_PORT, api_key=KEY)
    async with running_api(home) as running:
        await running.submit(a_config())
        serving = asyncio.ensure_future(serve_rest(running.api, settings))
        await eventually(lambda: _accepts(port), because="the api does not listen")
        ready.set()
        await asyncio.to_thread(stop.wait)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


# The document needs no running api.
schema = schemathesis.openapi.from_dict(make_rest(cast("Api", None), api_key=KEY).openapi())


@schema.exclude(path="/v1/health").parametrize()  # whose 503 is an answer, not a failure
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_input_is_a_server_error(case: Case, base_url: str):
    answer = case.call(base_url, headers={"authorization": f"Bearer {KEY}"}, timeout=PATIENCE_S)
    assert answer.status_code < 500, (case.as_curl_command(), answer.text)
    if answer.status_code >= 400:
        assert set(answer.json()) <= {"code", "message", "details", "issues"}
        assert answer.json()["code"]
