"""The files of one replica's directory, and how they are written: there whole, or not at all.

Its directory holds
- `record.json`  what it is: written before anything is started, never changed
- `state.json`   how it is: written by its shim alone
- `stop`         an order to end it for good, `restart` one to end one attempt
- `control`      a FIFO that wakes the shim; it has a reader exactly while a shim is there
- `shim.lock`    held by its shim, so that there is one; `lock` by its process, and by what that starts
- `checks/`      orders to check it with a command, see `checks.py`
- `log`, `cwd/`  what it wrote to stdout and stderr; its working directory and HOME
"""

from __future__ import annotations

import errno
import json
import os

from libs.common.durable import replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` is a third of a shim's memory
    from typing import Any

RECORD = "record.json"
STATE = "state.json"
STOP = "stop"
RESTART = "restart"
CONTROL = "control"
CHECKS = "checks"
SHIM_LOCK = "shim.lock"
LOCK = "lock"
LOG = "log"
CWD = "cwd"
TEMPORARY = "tmp"
"""In the directory that all replicas of a home share: a link to the temporary directory of each, for a short
path."""
GONE = "gone"
"""Beside the replicas of a deployment: the directories of those that have ended for good."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""How a write fails where there is no room."""


def write_json(path: str, value: dict[str, Any], *, durable: bool = False) -> None:
    """Replace the file at once. durable: on disk before this returns, for what a power cut must not undo."""
    replace_file(path, json.dumps(value).encode(), durable=durable)


def read_json(path: str) -> dict[str, Any] | None:
    """None when there is none, or when a power cut left an undurable one empty."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        content = os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def wake(directory: str, message: bytes = b"!") -> bool:
    """Make the replica's shim look at its orders; an empty message only asks. False when no shim is there."""
    try:
        descriptor = os.open(f"{directory}/{CONTROL}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False
        raise
    try:
        if message:
            os.write(descriptor, message)
    except BlockingIOError:
        return True  # the pipe is full of reasons to look
    except BrokenPipeError:
        return False
    finally:
        os.close(descriptor)
    return True


def is_supervised(directory: str) -> bool:
    """Whether a shim looks after the replica."""
    return wake(directory, b"")
