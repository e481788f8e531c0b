"""What a start makes of the api's answer about health."""

import asyncio
import json

import pytest

from libs.supervisor import readiness
from libs.supervisor.readiness import Health, read_health
from tests.support.polling import PATIENCE_S

PIDS = {"api": 11, "router": 12}


@pytest.mark.parametrize(
    ("told", "running", "waiting_for"),
    [
        pytest.param(PIDS, PIDS, "", id="all have been heard"),
        pytest.param(PIDS, {"api": 11, "router": 22}, "router", id="what was heard said a dead one"),
        pytest.param(PIDS, {"api": 11}, "router", id="it is not started again yet"),
        pytest.param({}, PIDS, "", id="nobody tells who was heard"),
    ],
)
def test_it_is_ready_by_the_processes_that_run_now(
    told: dict[str, int], running: dict[str, int], waiting_for: str
) -> None:
    health = Health(is_ready=True, processes=told).of(running)
    assert (health.is_ready, health.waiting_for) == (not waiting_for, waiting_for)


def test_what_is_not_ready_stays_so() -> None:
    health = Health(is_ready=False, waiting_for="log", processes=PIDS)
    assert health.of(PIDS) == health


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, "HEALTHY", Health(is_ready=True)),
        (200, {"status": "HEALTHY", "processes": PIDS}, Health(is_ready=True, processes=PIDS)),
        (503, {"notReady": ["router", "envoy"]}, Health(is_ready=False, waiting_for="router, envoy")),
        (503, {"message": "starting"}, Health(is_ready=False, waiting_for="api")),
    ],
)
async def test_what_the_api_answers_is_read(
    status: int, body: object, expected: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_ANSWER_WITHIN_S", PATIENCE_S)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readline()).startswith(b"GET /v1/health?detail=true ")
        writer.write(b"HTTP/1.1 %d Any\r\n\r\n" % status + json.dumps(body).encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        assert await read_health(server.sockets[0].getsockname()[1]) == expected
