"""Imports: a file is checked and kept in the home, then stored; one that broke off goes on by itself."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from libs.common.durable import replace_file, sync_directory
from libs.common.errors import AppendConflict, Conflict, Temporary
from libs.common.log.export import check, refuse_a_filled, store
from libs.common.log.head import LogHead
from libs.common.log.port import Archive
from services.api.archive.own_process import SEVERAL
from services.api.archive.preparation import prepare
from services.api.readmodels.prepared import Offer, Prepared

logger = structlog.get_logger()

AGAIN_AFTER_S = 0.5

EVENTS = "events.ndjson"
OUTCOME = "outcome.json"
PREPARED = "read.db"


class ImportState(StrEnum):
    NONE = "none"
    STORING = "storing"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of the newest import. events and digest: of the head of its file. message: why it failed."""

    state: ImportState = ImportState.NONE
    events: int = 0
    digest: str = ""
    message: str = ""


class Importer:
    """One import at a time. folder: where the file is kept until all of it is in the log. offer: takes the
    read models of a long one, which are made while it is stored.

    Whoever is killed in the middle, the import goes on from where the log ends: from the kept file when the
    api starts, or with the same file again when that is gone.
    """

    def __init__(
        self,
        folder: Path,
        archive: Archive,
        open_archive: Callable[[], AbstractAsyncContextManager[Archive]],
        offer: Offer,
    ) -> None:
        self._folder = folder
        self._offer = offer
        self._archive = archive
        self._open_archive = open_archive
        self._taking = asyncio.Lock()
        self._is_due = asyncio.Event()
        self._moved = asyncio.Condition()
        self._outcome = self._read()
        (folder / PREPARED).unlink(missing_ok=True)
        if self._outcome.state is ImportState.STORING:
            self._is_due.set()

    @property
    def outcome(self) -> Outcome:
        return self._outcome

    async def take(self, lines: AsyncIterator[bytes]) -> None:
        """Check an export and begin to store it; it is stored also when whoever asked for it goes away.

        Raises Conflict when the log is not empty or an import is at work, BadRequest that names the line.
        """
        if self._taking.locked() or self._outcome.state is ImportState.STORING:
            raise Conflict("another import is at work")
        async with self._taking:
            await refuse_a_filled(self._archive)
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = self._folder / f"{EVENTS}.part"
            try:
                with part.open("w+b") as spool:
                    os.fchmod(spool.fileno(), 0o600)
                    head = await check(lines, spool, folder=self._folder)
                    spool.flush()
                    os.fsync(spool.fileno())
                part.replace(self._folder / EVENTS)
                sync_directory(str(self._folder))
            finally:
                part.unlink(missing_ok=True)
            await self._note(Outcome(ImportState.STORING, head.events, head.digest))
            self._is_due.set()

    async def finished(self, *, within_s: float) -> Outcome:
        """How it stands when it is stored or has failed, or when the time is up."""
        try:
            async with asyncio.timeout(within_s), self._moved:
                await self._moved.wait_for(lambda: self._outcome.state is not ImportState.STORING)
        except TimeoutError:
            logger.info("import goes on", events=self._outcome.events)
        return self._outcome

    async def run(self) -> None:
        """Never returns: stores what is to be stored."""
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            await self._store()

    async def _store(self) -> None:
        outcome = self._outcome
        try:
            async with self._preparing(outcome.events):
                await self._store_all(LogHead(outcome.events, outcome.events, outcome.digest))
        except (FileNotFoundError, Conflict) as error:
            await self._end(Outcome(ImportState.FAILED, outcome.events, outcome.digest, str(error)))
            return
        await self._end(Outcome(ImportState.DONE, outcome.events, outcome.digest))

    async def _store_all(self, head: LogHead) -> None:
        while True:
            try:
                async with self._open_archive() as archive:
                    with (self._folder / EVENTS).open("rb") as spool:
                        await store(archive, spool, head)
                return
            except (AppendConflict, Temporary) as error:
                # Also where an attempt of a process that was killed comes into the log only now.
                logger.warning("import has to wait", error=str(error), error_type=type(error).__name__)
                await asyncio.sleep(AGAIN_AFTER_S)

    @asynccontextmanager
    async def _preparing(self, events: int) -> AsyncIterator[None]:
        """Read models are made while the block runs, and given up where it fails."""
        if events < SEVERAL:
            yield
            return
        made: asyncio.Future[Prepared | None] = asyncio.get_running_loop().create_future()
        self._offer.make(made)
        preparing = asyncio.create_task(self._prepare(made))
        try:
            yield
            await preparing
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)

    async def _prepare(self, made: "asyncio.Future[Prepared | None]") -> None:
        """Whatever happens, whoever waits for them hears it."""
        prepared = None
        try:
            prepared = await prepare(self._folder / EVENTS, self._folder / PREPARED)
        finally:
            if not made.done():  # nobody waits any more
                made.set_result(prepared)

    async def _end(self, outcome: Outcome) -> None:
        logger.info("import ended", state=outcome.state, events=outcome.events, reason=outcome.message)
        await self._note(outcome)
        (self._folder / EVENTS).unlink(missing_ok=True)

    async def _note(self, outcome: Outcome) -> None:
        path = self._folder / OUTCOME
        replace_file(str(path), json.dumps(asdict(outcome)).encode(), draft=f"{path}.part")
        async with self._moved:
            self._outcome = outcome
            self._moved.notify_all()

    def _read(self) -> Outcome:
        try:
            stored = json.loads((self._folder / OUTCOME).read_text())
            return Outcome(
                ImportState(stored["state"]),
                int(stored["events"]),
                str(stored["digest"]),
                str(stored["message"]),
            )
        except FileNotFoundError:
            return Outcome()
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("what is noted of the newest import cannot be read", error=repr(error))
            return Outcome()
