"""A Python process of our own, for work on so many events that it would keep those waiting who use the api.

The interpreter runs one thread at a time, so a thread that works takes turns with the one that answers. Such
a process is given lines and gives lines of JSON back. It reads no secret and speaks to nobody else.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from libs.common.errors import Temporary

SEVERAL = 5_000
"""Events from which on a process is worth its start, which takes as long as a thousand of them."""

ROOT = Path(__file__).resolve().parents[3]

_SECRETS = ("SPECSTREAM_API_KEY", "SPECSTREAM_NATS_SEED_FILE")


class ProcessEnded(Temporary):
    """It ended before it had given its answer."""


class OwnProcess:
    """What it is given and what it answers."""

    def __init__(self, process: Process, name: str) -> None:
        self._process = process
        self._name = name

    async def give(self, lines: bytes) -> bool:
        """Whether it still takes any; waits until there is room for more."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(lines)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    async def answer(self) -> Any:
        """The next. Raises ProcessEnded."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            status = await self._process.wait()
            raise ProcessEnded(f"the process that was to {self._name} ended with status {status}")
        return json.loads(line)


@asynccontextmanager
async def started(module: str, *arguments: str) -> AsyncIterator[OwnProcess]:
    """As long as the block runs: it is killed at its end, and ends by itself when this process dies.

    module: of ours; its first argument says what it is to do. Raises OSError where it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in _SECRETS},
    )
    try:
        yield OwnProcess(process, arguments[0])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
