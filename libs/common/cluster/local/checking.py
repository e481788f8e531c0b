"""Asking the shim of a replica to run a command in it, and waiting for how that ended."""

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from libs.common.cluster.local.shim import checks, files
from libs.common.cluster.port import Checked
from libs.common.errors import DeploymentUnavailable
from libs.common.ids import new_id

LATE_S = 10.0
"""So long after the command's own time limit an answer is waited for: the shim may be busy, or new."""
_AT_ONCE = 64 * 1024


async def run_check(directory: Path, *, attempt: int, command: Sequence[str], timeout_s: float) -> Checked:
    """Given up, it is ended in the replica too. Raises DeploymentUnavailable, OSError."""
    folder = directory / files.CHECKS
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        raise DeploymentUnavailable(f"replica {directory.name} is gone") from None
    name = new_id()
    order, answer = folder / f"{name}{checks.ORDER}", folder / f"{name}{checks.ANSWER}"
    os.mkfifo(answer, 0o600)
    reader = os.open(answer, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        files.write_json(str(order), {"attempt": attempt, "command": [*command], "timeout_s": timeout_s})
        if not files.wake(str(directory)):
            raise DeploymentUnavailable(f"nothing looks after replica {directory.name} yet")
        async with asyncio.timeout(timeout_s + LATE_S):
            said = await _read(reader)
    except TimeoutError:
        raise DeploymentUnavailable(f"the shim of replica {directory.name} does not answer") from None
    finally:
        os.close(reader)
        order.unlink(missing_ok=True)
        answer.unlink(missing_ok=True)
    return _checked(said)


def _checked(said: dict[str, Any]) -> Checked:
    if "error" in said:
        raise DeploymentUnavailable(said["error"])
    status, signal = said.get("status"), said.get("signal")
    problem = said.get("problem")
    return Checked(
        status=status,
        signal=signal,
        has_timed_out=problem is None and status is None and signal is None,
        output=said.get("output", ""),
        problem=problem,
    )


async def _read(reader: int) -> dict[str, Any]:
    """All that is written into a FIFO until it is closed."""
    loop = asyncio.get_running_loop()
    is_ready = asyncio.Event()
    loop.add_reader(reader, is_ready.set)
    read = b""
    try:
        while True:
            await is_ready.wait()
            is_ready.clear()
            with suppress(BlockingIOError):
                part = os.read(reader, _AT_ONCE)
                if not part:
                    break
                read += part
    finally:
        loop.remove_reader(reader)
    if not read:
        raise DeploymentUnavailable("what ran the check has ended before it")
    said: dict[str, Any] = json.loads(read)
    return said
