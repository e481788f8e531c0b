"""Bringing a file into a log and telling the true outcome, whoever is killed and restarted meanwhile."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from libs.cli.errors import CommandFailed
from libs.client import ApiError, Client, Unreachable
from libs.common.clock import monotonic

CHUNK = 1 << 16

AWAY_S = 60.0
"""For so long an api that is away or cannot answer is waited for."""

LOOK_EVERY_S = 0.3

_LAST_LINE = 4096
"""Bytes; longer than the head that an export ends with."""


def import_file(client: Client, file: Path, *, say: Callable[[str], None]) -> int:
    """The number of events of the file, once they are all in the log. say: told how far it is.

    Raises CommandFailed for a file that cannot be read or an import that failed, ApiError, Unreachable.
    """
    try:
        head = _head(file)
        progress = _send(client, file, head, say=say)
    except OSError as error:
        raise CommandFailed(f"cannot read {file}: {error.strerror}") from error
    while progress["state"] != "done":
        if progress["state"] != "storing" or not _is_of(progress, head):
            raise CommandFailed(f"the import failed: {progress.get('message', 'it is not there any more')}")
        say(_how_far(progress))
        time.sleep(LOOK_EVERY_S)
        progress = _patiently(client.import_state)
    return int(progress["events"])


def _send(client: Client, file: Path, head: dict[str, Any] | None, *, say: Callable[[str], None]) -> Any:
    """Until the api has taken the file; sent again when the api died before it had all of it."""
    deadline = monotonic() + AWAY_S
    while True:
        try:
            client.import_log(_content(file, say=say))
            return _patiently(client.import_state)
        except (ApiError, Unreachable) as error:
            if isinstance(error, ApiError) and error.status < 500:
                raise
            progress = _patiently(client.import_state)
            if progress["state"] in {"storing", "done"} and _is_of(progress, head):
                return progress
            if monotonic() > deadline:
                raise
            say("sending the file again")
            time.sleep(LOOK_EVERY_S)


def _patiently(ask: Callable[[], Any]) -> Any:
    deadline = monotonic() + AWAY_S
    while True:
        try:
            return ask()
        except (ApiError, Unreachable) as error:
            if (isinstance(error, ApiError) and error.status < 500) or monotonic() > deadline:
                raise
            time.sleep(LOOK_EVERY_S)


def _is_of(progress: Any, head: dict[str, Any] | None) -> bool:
    return head is not None and progress.get("digest") == head.get("digest")


def _how_far(progress: Any) -> str:
    stored, shown, events = progress["stored"], progress.get("shown", 0), progress["events"]
    return f"importing {stored} of {events}" if stored < events else f"read models: {shown} of {events}"


def _content(file: Path, *, say: Callable[[str], None]) -> Iterator[bytes]:
    """The api checks it as it comes."""
    size, sent = file.stat().st_size, 0
    with file.open("rb") as source:
        while chunk := source.read(CHUNK):
            yield chunk
            sent += len(chunk)
            if sent < size:
                say(f"checking: {sent * 100 // size} %")


def _head(file: Path) -> dict[str, Any] | None:
    """What the file ends with; None when that is no head, which the api will say."""
    with file.open("rb") as source:
        source.seek(max(0, file.stat().st_size - _LAST_LINE))
        *_, last = source.read().strip().split(b"\n")
    try:
        head = json.loads(last)["head"]
    except (ValueError, KeyError, TypeError):
        return None
    return head if isinstance(head, dict) else None
