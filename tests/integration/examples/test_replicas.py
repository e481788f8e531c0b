"""The sample replicas do what their specs and tables say, started as a cluster starts them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.free_ports import free_port
from tests.support.plain_http import plain_client
from tests.support.polling import PATIENCE_S, eventually
from tests.support.specs import parse_spec

EXAMPLES = Path(__file__).parents[3] / "examples"


class Running:
    """One process of an example: its client and the process."""

    def __init__(self, process: asyncio.subprocess.Process, client: httpx.AsyncClient):
        self.process = process
        self.client = client

    async def status(self, path: str) -> int | None:
        """None while nothing listens."""
        try:
            return (await self.client.get(path)).status_code
        except httpx.ConnectError:
            return None

    async def answers(self, path: str) -> bool:
        return await self.status(path) == 200

    async def json(self, path: str) -> dict[str, object]:
        return (await self.client.get(path)).json()


@asynccontextmanager
async def running(name: str, tmp_path: Path, **env: str) -> AsyncIterator[Running]:
    spec = parse_spec(yaml.safe_load((EXAMPLES / name / "specstream.yaml").read_text()))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *spec.command or (),
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PORT": str(port),
            "SPECSTREAM_REPLICA_ID": "replica-1",
            **{entry.name: entry.value for entry in spec.env},
            **env,
        },
    )
    try:
        async with plain_client(base_url=f"http://127.0.0.1:{port}") as client:
            yield Running(process, client)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_hello_says_who_it_is_and_turns_its_checks_off_and_on(tmp_path):
    async with running("hello", tmp_path, VERSION="7") as hello:
        await eventually(lambda: hello.answers("/ready"))
        me = await hello.json("/")
        assert (me["replica_id"], me["version"], me["pid"]) == ("replica-1", "7", hello.process.pid)
        assert (await hello.client.post("/echo", content="abc")).json()["body"] == "abc"
        for check in ("/ready", "/live"):
            await hello.client.get(check, params={"set": "off"})
            assert await hello.status(check) == 503
            await hello.client.get(check, params={"set": "on"})
            assert await hello.status(check) == 200


async def test_hello_takes_its_time_to_become_ready(tmp_path):
    async with running("hello", tmp_path, START_SECONDS="3600") as hello:
        await eventually(lambda: hello.answers("/live"))
        assert await hello.status("/ready") == 503
    async with running("hello", tmp_path, START_SECONDS="0.5") as hello:
        await eventually(lambda: hello.answers("/ready"))


async def test_hello_streams(tmp_path):
    async with running("hello", tmp_path) as hello:
        await eventually(lambda: hello.answers("/ready"))
        async with hello.client.stream("GET", "/stream", params={"events": 3, "seconds": 0}) as stream:
            lines = [line async for line in stream.aiter_lines() if line.startswith("id:")]
        assert lines == ["id: 0", "id: 1", "id: 2"]


async def test_hello_crashes_with_the_status_it_is_given(tmp_path):
    async with running("hello", tmp_path) as hello:
        await eventually(lambda: hello.answers("/ready"))
        with pytest.raises(httpx.TransportError):
            await hello.client.get("/crash", params={"status": 9})
        assert await hello.process.wait() == 9


async def test_hello_finishes_what_runs_before_it_ends(tmp_path):
    is_sent = asyncio.Event()

    async def body():
        await is_sent.wait()
        yield b"x"

    async with running("hello", tmp_path) as hello:
        await eventually(lambda: hello.answers("/ready"))
        unfinished = hello.client.post("/echo", content=body(), headers={"content-length": "1"})
        answering = asyncio.ensure_future(unfinished)
        await eventually(lambda: _requests_running(hello, 2), because="the unfinished request never began")
        hello.process.terminate()
        await eventually(lambda: _is_closed(hello))
        assert hello.process.returncode is None
        is_sent.set()
        assert (await answering).json()["body"] == "x"
        assert await hello.process.wait() == 0


async def _is_closed(hello: Running) -> bool:
    """Whether a new connection is not served."""
    async with plain_client(base_url=hello.client.base_url, timeout=0.5) as newcomer:
        try:
            await newcomer.get("/")
        except httpx.TransportError:
            return True
    return False


async def _requests_running(hello: Running, count: int) -> bool:
    """The one that asks counts too."""
    return (await hello.json("/running"))["running"] == count


async def test_the_model_is_loaded_before_the_checks_succeed(tmp_path):
    async with running("health-checks", tmp_path, LOAD_SECONDS="3600") as model:
        await eventually(lambda: model.answers("/liveness/"))
        assert await model.status("/startup/") == 503
        assert await model.status("/readiness/") == 503
        assert (await model.client.post("/predict/")).status_code == 503
    async with running("health-checks", tmp_path, LOAD_SECONDS="0.5", MODEL_VERSION="2") as model:
        await eventually(lambda: model.answers("/readiness/"))
        assert await model.status("/startup/") == 200
        answer = (await model.client.post("/predict/", json={"text": "great, thanks!"})).json()
        assert answer["friendly"] is True
        assert (answer["model_version"], answer["replica_id"]) == ("2", "replica-1")
        assert (await model.client.post("/predict/", json={"text": "awful"})).json()["friendly"] is False


async def test_the_model_server_ends_when_it_is_told_even_while_it_loads(tmp_path):
    async with running("health-checks", tmp_path, LOAD_SECONDS="600") as model:
        await eventually(lambda: model.answers("/liveness/"))
        model.process.terminate()
        await asyncio.wait_for(model.process.wait(), PATIENCE_S)


async def test_load_uses_what_it_is_asked_to_use(tmp_path):
    async with running("load", tmp_path) as replica:
        await eventually(lambda: replica.answers("/ready"))
        for path in ("/", "/burn?seconds=0.01", "/hold?mib=1", "/hold?mib=0", "/sleep?seconds=0.01"):
            assert await replica.status(path) == 200
        assert "from 0 to 60" in str(await replica.json("/burn?seconds=-1"))
        assert await replica.status("/burn?seconds=x") == 400
        assert await replica.status("/hold?mib=100000") == 400
        assert await replica.status("/nothing") == 404
