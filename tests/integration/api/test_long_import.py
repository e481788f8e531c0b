"""An import that is long enough for a process of its own, into a real broker, while the api is killed."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from nats.aio.client import Client

from benchmarks.histories import write_history
from libs.common.cluster.local.shim import proc
from services.api.archive import work
from services.api.archive.own_process import SEVERAL
from tests.support.api_process import ApiProcess, api_process
from tests.support.children import children
from tests.support.killing import SEED_VARIABLE, choose_seed
from tests.support.nats_server import NatsEndpoint
from tests.support.polling import PATIENCE_S, eventually, let_time_pass

SEED = choose_seed()


@pytest.mark.parametrize("is_killed", [False, True], ids=["undisturbed", "the api is killed"])
async def test_is_whole_and_its_read_models_are_those_of_the_log(
    tmp_path: Path,
    nats_endpoint: NatsEndpoint,
    log_client: Client,  # noqa: ARG001 - makes the streams fresh
    is_killed: bool,
):
    rng = random.Random(SEED)
    delay_s = rng.uniform(0, 2)
    print(f"{SEED_VARIABLE}={SEED}: killed {delay_s:.3f} s after it had taken the file")
    file = tmp_path / "log.ndjson"
    head = await write_history(file, events=SEVERAL + 1)
    home = tmp_path / "home"
    async with api_process(home, nats_endpoint.url) as running, running.client() as http:
        sending = asyncio.create_task(
            http.post("/v1/log/import", content=file.read_bytes(), timeout=PATIENCE_S)
        )
        if is_killed:
            await eventually((home / "api" / "import" / "outcome.json").exists)
            await let_time_pass(delay_s)
            await _kill(running)
            await asyncio.gather(sending, return_exceptions=True)
        else:
            assert (await sending).status_code in {200, 202}
            await _is_shown(running, head.events)
    async with api_process(home, nats_endpoint.url) as running, running.client() as http:
        await _is_shown(running, head.events)
        found = (await http.get("/v1/log/verify", timeout=PATIENCE_S)).json()
        assert (found["ok"], found["events"]) == (True, head.events), found
        assert {one.name for one in (home / "api" / "import").iterdir()} == {"outcome.json"}


async def test_of_a_file_that_was_still_coming_nothing_is_left(
    tmp_path: Path,
    nats_endpoint: NatsEndpoint,
    log_client: Client,  # noqa: ARG001 - makes the streams fresh
):
    file, home = tmp_path / "log.ndjson", tmp_path / "home"
    head = await write_history(file, events=SEVERAL + 1)
    *first, last = file.read_bytes().splitlines(keepends=True)
    async with api_process(home, nats_endpoint.url) as running, running.client() as http:

        async def content() -> AsyncIterator[bytes]:
            yield b"".join(first)
            await eventually(lambda: preparing(running))
            await _kill(running)
            yield last

        with pytest.raises(httpx.TransportError):
            await http.post("/v1/log/import", content=content(), timeout=PATIENCE_S)
    async with api_process(home, nats_endpoint.url) as running, running.client() as http:
        assert list((home / "api" / "import").iterdir()) == []
        assert (await http.get("/v1/log/import")).json()["state"] == "none"
        await http.post("/v1/log/import", content=file.read_bytes(), timeout=PATIENCE_S)
        await _is_shown(running, head.events)


def preparing(running: ApiProcess) -> list[int]:
    return children(running.process.pid, work.__name__)


async def _kill(running: ApiProcess) -> None:
    """What it has started ends with it."""
    left = {pid: proc.start_ticks(pid) for pid in preparing(running)}
    running.process.send_signal(signal.SIGKILL)
    await eventually(lambda: not any(began and proc.start_ticks(pid) == began for pid, began in left.items()))


async def _is_shown(running: ApiProcess, events: int) -> None:
    async with running.client() as http:

        async def is_done() -> bool:
            found = (await http.get("/v1/log/import")).json()
            return bool(found["state"] == "done" and found["shown"] == events)

        await eventually(is_done)
