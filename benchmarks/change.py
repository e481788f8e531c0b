"""From `POST` to the first request that the new run serves, split by phase, on a running platform."""

import asyncio
import os
import statistics
import sys
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

import httpx

from benchmarks.envoys import is_open
from benchmarks.figure import Figure
from benchmarks.platforms import platform
from libs.common.clock import utc_now
from tests.support.free_ports import free_port
from tests.support.live_platform import HELLO, Json, LivePlatform, hello
from tests.support.polling import eventually

CHANGES = 10
ASK_EVERY_S = 0.003


@dataclass(frozen=True, slots=True)
class Change:
    """Milliseconds since the request was sent, in the order in which they come."""

    appended: float
    answered: float
    spawned: float
    applied: float
    ready: float
    served: float


async def change(running: LivePlatform, deployment_id: str, version: str) -> Change:
    """Update the deployment to another run, and wait until that has served a request."""
    last = (await running.events(deployment_id))[-1]["sequence"]
    began = utc_now()
    assert await running.submit(hello("changing", VERSION=version)) == deployment_id
    answered = utc_now()
    await eventually(lambda: _is_served_by(running, deployment_id, version), every_s=ASK_EVERY_S, within_s=60)
    served = utc_now()
    await running.settled(deployment_id)
    events = [event for event in await running.events(deployment_id) if event["sequence"] > last]
    registered, applied = (_first(events, kind) for kind in ("SpecRegistered", "SpecApplied"))
    run_id = registered["data"]["run_id"]
    ready = next(
        event
        for event in events
        if event["type"] == "ReplicaBecameReady" and event["data"]["replica"]["run_id"] == run_id
    )

    def since(moment: datetime) -> float:
        return (moment - began).total_seconds() * 1e3

    return Change(
        appended=since(_moment(registered["time"])),
        answered=since(answered),
        spawned=since(_moment(ready["data"]["replica"]["started_at"])),
        applied=since(_moment(applied["time"])),
        ready=since(_moment(ready["time"])),
        served=since(served),
    )


async def start_bare() -> float:
    """Milliseconds from the start of the same program, by nobody but us, to its first answer."""
    port = free_port()
    start = perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(HELLO),
        env={**os.environ, "PORT": str(port)},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: is_open(port), every_s=ASK_EVERY_S, within_s=60)
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"http://127.0.0.1:{port}/ready")).status_code == 200
        return (perf_counter() - start) * 1e3
    finally:
        process.kill()
        await process.wait()


async def measure(*, quick: bool = False) -> list[Figure]:
    """Changes and bare starts in turns, so that both meet the same machine; medians."""
    async with platform() as running:
        deployment_id = await running.deploy(hello("changing", VERSION="first"))
        changes, bare = [], []
        for number in range(3 if quick else CHANGES):
            bare.append(await start_bare())
            changes.append(await change(running, deployment_id, str(number)))

    def median(field: str) -> float:
        return statistics.median(getattr(one, field) for one in changes)

    phases = (
        ("api has appended it", "appended"),
        ("api has answered", "answered"),
        ("the new replica's process starts", "spawned"),
        ("reconciler has told that it applied it", "applied"),
        ("first ready fact of the new run", "ready"),
    )
    return [
        *(Figure(f"POST until {phase}", median(field), "ms") for phase, field in phases),
        Figure(
            "POST until the new run serves its first request",
            median("served"),
            "ms",
            statistics.median(bare),
            "the same program started bare",
        ),
    ]


async def _is_served_by(running: LivePlatform, deployment_id: str, version: str) -> bool:
    url = f"http://127.0.0.1:{running.edge_port}/"
    answer = await running.http.get(url, headers={"host": running.endpoint(deployment_id)})
    return answer.status_code == 200 and answer.json()["version"] == version


def _first(events: list[Json], kind: str) -> Json:
    return next(event for event in events if event["type"] == kind)


def _moment(rfc3339: str) -> datetime:
    return datetime.fromisoformat(rfc3339)
