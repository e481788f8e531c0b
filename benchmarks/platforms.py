"""A real platform in a temporary home, for one measurement, and its processes."""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.live_platform import LivePlatform
from tests.support.platform_process import PROGRAMS
from tests.support.processes import shim_pids


@asynccontextmanager
async def platform(**settings: str) -> AsyncIterator[LivePlatform]:
    """As `make up` starts it, on free ports; gone with its home afterwards. settings: of the environment."""
    with tempfile.TemporaryDirectory() as directory:
        running = LivePlatform(Path(directory) / "home", **settings)
        try:
            await running.start_and_wait()
            yield running
        finally:
            await running.close()


def own_processes(running: LivePlatform) -> Mapping[str, list[int]]:
    """Pids by name: the programs, the supervisor, and the replicas' shims, which are one entry."""
    names = (*PROGRAMS, "supervisor")
    pids = {name: [pid] for name in names if (pid := running.pid(name)) is not None}
    assert len(pids) == len(names), f"not all of {names} run: {pids}"
    return {**pids, "shims": shim_pids(running.home)}
