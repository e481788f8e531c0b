"""Imports: a file is checked and kept in the home, then stored; one that broke off goes on by itself."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

import structlog

from libs.common.durable import replace_file, sync_directory
from libs.common.errors import AppendConflict, Conflict, Temporary
from libs.common.log.export import Keep, check, refuse_a_filled, store
from libs.common.log.head import LogHead
from libs.common.log.port import Archive
from services.api.archive.own_process import SEVERAL
from services.api.archive.preparation import Preparation
from services.api.readmodels.prepared import Offer
from services.api.readmodels.writer import in_thread

logger = structlog.get_logger()

AGAIN_AFTER_S = 0.5

EVENTS = "events.ndjson"
OUTCOME = "outcome.json"
PREPARED = "read.db"

TELL_EVERY = 1_000
"""Events of the file, for whoever makes read models of it meanwhile."""


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
    read models of a long one, which are made while it is checked and stored.

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
        self._preparation: Preparation | None = None
        (folder / PREPARED).unlink(missing_ok=True)
        if self._outcome.state is ImportState.STORING:
            self._is_due.set()
        else:
            (folder / EVENTS).unlink(missing_ok=True)

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
            try:
                with (self._folder / EVENTS).open("wb") as spool:
                    os.fchmod(spool.fileno(), 0o600)
                    head = await check(lines, self._keeping(spool), folder=self._folder)
                    self._tell_what_is_kept(spool)
                    await in_thread(os.fsync, spool.fileno())
                sync_directory(str(self._folder))
                await self._note(Outcome(ImportState.STORING, head.events, head.digest))
            except BaseException:
                await self._give_up()
                raise
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

    def _keeping(self, spool: IO[bytes]) -> Keep:
        """Read models of a long one are made meanwhile of what is kept."""
        events = 0

        def keep(line: bytes) -> None:
            nonlocal events
            spool.write(line)
            events += 1
            if events >= SEVERAL and events % TELL_EVERY == 0:
                self._preparation = self._preparation or self._prepare()
                self._tell_what_is_kept(spool)

        return keep

    def _tell_what_is_kept(self, spool: IO[bytes]) -> None:
        spool.flush()
        if self._preparation is not None:
            self._preparation.holds(spool.tell())

    async def _give_up(self) -> None:
        """Nothing is left of a file that does not hold."""
        if self._preparation is not None:
            await self._preparation.end()
            self._preparation = None
        (self._folder / EVENTS).unlink(missing_ok=True)

    async def _store(self) -> None:
        outcome = self._outcome
        try:
            async with self._preparing(outcome.events):
                await self._store_all(LogHead(outcome.events, outcome.events, outcome.digest))
        except (FileNotFoundError, Conflict, ValueError) as error:
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
        """Read models are made on while the block runs, and given up where it fails."""
        preparation, self._preparation = self._preparation, None
        if preparation is None:
            if events < SEVERAL:
                yield
                return
            preparation = self._prepare()
            preparation.holds((self._folder / EVENTS).stat().st_size)
        preparation.is_whole()
        self._offer.make(preparation.prepared)
        try:
            yield
            await preparation.finished()
        finally:
            await preparation.end()

    def _prepare(self) -> Preparation:
        return Preparation(self._folder / EVENTS, self._folder / PREPARED)

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
