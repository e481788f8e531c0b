"""Snapshots of views: where a follower goes on, so that a start costs what lives and not what ever lived.

A snapshot is a file of the service's own, thrown away whenever it does not fit: another log, an event that
the log does not have, code that folds otherwise, a file that is not whole. Then the views come from the log,
as they do without one. It holds JSON and nothing that could be run.

    {"code": …, "log": …, "sequence": …, "hash": …, "views": 2, "apart": 1, "lacking": […]}
                                                       the first line: what it is of
    {"project_id": …}                                  a line for each view
    {"aggregate": {…}, "state": {…}}                   a line for each aggregate that is no part of one
    <the SHA-256 of all lines before>                  the last line

A view that lacks an event, because that could not be taken in, is kept as it is, and its id is among those
that are `lacking`: whoever reads it has to ask the log for the rest.
"""

import asyncio
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, Self

import structlog
from pydantic import TypeAdapter, ValidationError

from libs.common.bus.settings import ServiceSettings
from libs.common.events.envelope import Aggregate, Position
from libs.common.log.port import EventLog
from libs.common.services import copy_name
from libs.common.state.aggregates import AggregateKind
from libs.common.state.view import DeploymentView, Views

logger = structlog.get_logger()

FOLDER: Final = "views"
"""Of the home."""
_FOLDED_BY: Final = ("events", "state", "spec", "scaling", "log")
"""Parts of `libs/common` that decide what becomes of a stored event."""
_AT_ONCE: Final = 100
"""Views that are read before somebody else may do something."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a snapshot keeps: views as they were at one moment, while the follower goes on changing them."""

    views: tuple[DeploymentView, ...]
    lacking: frozenset[str] = frozenset()
    """The ids of those that lack an event."""
    apart: tuple[tuple[Aggregate, Any], ...] = ()
    kinds: tuple[AggregateKind, ...] = ()
    """The kinds that the follower follows; those of the aggregates that are apart are among them."""

    @classmethod
    def of(cls, views: Views, lacking: Iterable[str] = ()) -> Self:
        return cls(tuple(views), frozenset(lacking), tuple(views.apart.items()), views.kinds)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a snapshot besides the views."""

    position: Position
    """The last event that is folded into them."""
    lacking: tuple[str, ...] = ()
    """The ids of those that lack an event up to there."""


class DoesNotFit(Exception):
    """Why a snapshot says nothing about the log as this version reads it."""


_NOT_OURS = (DoesNotFit, ValidationError, ValueError, LookupError, TypeError, RecursionError, OSError)
"""What may come of reading a file that somebody else wrote."""


class Snapshot:
    """path: its file, which need not exist; its folder is made when it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _code()  # of what runs now, whatever lies on the disk when a snapshot is written

    @classmethod
    def of(cls, service: str, settings: ServiceSettings) -> Self:
        """Where this copy of a service keeps it: in the home."""
        name = copy_name(service, settings.copy_number)
        return cls(settings.home.expanduser() / FOLDER / f"{name}.snapshot")

    async def read(self, log: EventLog, views: Views) -> Read | None:
        """Fill `views` from the file; returns the event up to which they are complete, and which are not.

        None, with `views` empty, where there is none that fits. Raises LogUnavailable.
        """
        try:
            with open(self._path, "rb", opener=_at_once) as file:  # noqa: ASYNC230 - opens at once
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise DoesNotFit("it is no file")
                read = await self._read(file, log, views)
        except FileNotFoundError:
            return None
        except _NOT_OURS as error:
            logger.info("the snapshot of views is not used", path=str(self._path), reason=str(error)[:500])
            views.clear()
            return None
        views.sequence = read.position.sequence
        logger.info("views read", sequence=read.position.sequence, deployments=len(views.by_id))
        return read

    async def _read(self, file: IO[bytes], log: EventLog, views: Views) -> Read:
        await asyncio.to_thread(_check_whole, file)
        head = json.loads(file.readline())
        if head["code"] != _code():
            raise DoesNotFit("other code made it")
        position = Position(int(head["sequence"]), str(head["log"]), str(head["hash"]))
        if not await log.has(position):
            raise DoesNotFit(f"the log does not have event {position} of it")
        decode = _views().validate_json
        for number in range(head["views"]):
            view = decode(file.readline())
            views.by_id[view.deployment_id] = view
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        states = {kind.name: TypeAdapter(kind.state) for kind in views.kinds if kind.view_field is None}
        for _ in range(head["apart"]):
            line = json.loads(file.readline())
            aggregate = Aggregate(**line["aggregate"])
            views.apart[aggregate] = states[aggregate.kind].validate_python(line["state"])
        return Read(position, tuple(map(str, head["lacking"])))

    async def write(self, kept: Kept, position: Position) -> None:
        """Replace the file. position: of the last event that is folded into what it keeps.

        What goes wrong is logged: the next start takes longer, and nothing else.
        """
        try:
            await asyncio.to_thread(self._write, kept, position)
        except (OSError, ValueError) as error:
            logger.warning("the snapshot of views is not written", path=str(self._path), error=str(error))
        else:
            logger.info("views written", sequence=position.sequence, deployments=len(kept.views))

    def _write(self, kept: Kept, position: Position) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # One writer for each copy of a service: what lies under this name was left by one that was killed.
        draft = self._path.with_name(f".{self._path.name}.draft")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Not synced to the disk: one that a power cut tore is found out by its last line.
            with os.fdopen(descriptor, "wb") as file:
                digest = hashlib.sha256()
                for line in _lines(kept, position):
                    digest.update(line)
                    file.write(line)
                file.write(digest.hexdigest().encode())
            draft.replace(self._path)
        finally:
            draft.unlink(missing_ok=True)


def _at_once(path: str, flags: int) -> int:
    """Opens also a FIFO that nobody writes to without waiting."""
    return os.open(path, flags | os.O_NONBLOCK)


def _lines(kept: Kept, position: Position) -> Iterator[bytes]:
    head = {
        "code": _code(),
        "log": position.log,
        "sequence": position.sequence,
        "hash": position.hash,
        "views": len(kept.views),
        "apart": len(kept.apart),
        "lacking": sorted(kept.lacking),
    }
    yield json.dumps(head).encode() + b"\n"
    encode = _views().dump_json
    for view in kept.views:
        yield encode(view, exclude_defaults=True) + b"\n"
    states = {kind.name: TypeAdapter(kind.state) for kind in kept.kinds if kind.view_field is None}
    for aggregate, state in kept.apart:
        line = {
            "aggregate": asdict(aggregate),
            "state": states[aggregate.kind].dump_python(state, mode="json"),
        }
        yield json.dumps(line).encode() + b"\n"


def _check_whole(file: IO[bytes]) -> None:
    """Leaves the file at its beginning. Raises DoesNotFit."""
    digest, last = hashlib.sha256(), b""
    for line in file:
        digest.update(last)
        last = line
    if last.decode("ascii", "replace") != digest.hexdigest():
        raise DoesNotFit("it is not whole")
    file.seek(0)


@cache
def _views() -> TypeAdapter[DeploymentView]:
    return TypeAdapter(DeploymentView)


@cache
def _code() -> str:
    """Names the code that folds events to views, by its text."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for part in _FOLDED_BY:
        for path in sorted((root / part).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
