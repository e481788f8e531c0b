"""Verifying all there is: every event of the log, and that the read models are what a fresh replay gives.

A log of several thousand events is checked in a process of its own, a short one in threads of this process.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.log.batches import batches
from libs.common.log.export import event_line
from libs.common.log.head import LogHead
from libs.common.log.port import Archive, Stored
from libs.common.log.verify import Corrupt, Verified
from services.api.archive import work
from services.api.archive.own_process import SEVERAL, OwnProcess, started
from services.api.archive.verifier import Verifier
from services.api.readmodels.database import path_of, read_checkpoint
from services.api.readmodels.writer import in_thread

AT_ONCE = 25
"""Events between two moments in which others are served."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far it is: `sequence` of `last` events."""

    sequence: int
    last: int


class Elsewhere(Protocol):
    """A `Verifier` that works somewhere else than in the event loop."""

    async def take(self, events: Sequence[Stored]) -> Corrupt | None: ...

    async def settle(self) -> Corrupt | int: ...

    async def replay(self, events: Sequence[Stored]) -> None: ...

    async def compare(self) -> Corrupt | Verified: ...


async def verify_all(
    archive: Archive, engine: AsyncEngine, *, head: LogHead | None, folder: Path
) -> AsyncIterator[Reached | Verified | Corrupt]:
    """How far it is, again and again, and at last what was found.

    engine: the read models. head: what the log is held to. folder: where what it needs lies meanwhile.
    Raises ProcessEnded, OSError.
    """
    async with engine.connect() as connection:
        checkpoint = await read_checkpoint(connection)
    last = await archive.last_sequence()
    opening = _in_a_process if last >= SEVERAL else _in_threads
    async with opening(path_of(engine), checkpoint=checkpoint, head=head, folder=folder) as verifier:
        async for batch in batches(archive.read_raw(), AT_ONCE):
            if corrupt := await verifier.take(batch):
                yield corrupt
                return
            yield Reached(batch[-1].sequence, max(last, batch[-1].sequence))
        until = await verifier.settle()
        if isinstance(until, Corrupt):
            yield until
            return
        async for batch in batches(archive.read_raw(after=checkpoint, until=until), AT_ONCE):
            await verifier.replay(batch)
        yield await verifier.compare()


@asynccontextmanager
async def _in_threads(
    shown: Path, *, checkpoint: int, head: LogHead | None, folder: Path
) -> AsyncIterator[Elsewhere]:
    with Verifier(shown, checkpoint=checkpoint, head=head, folder=folder) as verifier:
        yield _InThreads(verifier)


class _InThreads:
    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def take(self, events: Sequence[Stored]) -> Corrupt | None:
        return await in_thread(self._verifier.take, events)

    async def settle(self) -> Corrupt | int:
        return await in_thread(self._verifier.settle)

    async def replay(self, events: Sequence[Stored]) -> None:
        await in_thread(self._verifier.replay, events)

    async def compare(self) -> Corrupt | Verified:
        with closing(self._verifier.compare()) as steps:
            while True:
                if (found := await in_thread(next, steps)) is not None:
                    return found


@asynccontextmanager
async def _in_a_process(
    shown: Path, *, checkpoint: int, head: LogHead | None, folder: Path
) -> AsyncIterator[Elsewhere]:
    arguments = (str(shown), str(checkpoint), str(folder), str(head or ""))
    async with started(work.__name__, work.VERIFY, *arguments) as process:
        yield _InAProcess(process)


class _InAProcess:
    def __init__(self, process: OwnProcess) -> None:
        self._process = process

    async def take(self, events: Sequence[Stored]) -> Corrupt | None:
        if await self._process.give(b"".join([event_line(event) for event in events])):
            return None
        found = await self._answer()
        return found if isinstance(found, Corrupt) else None

    async def settle(self) -> Corrupt | int:
        await self._process.give(work.END)
        found = await self._answer()
        assert not isinstance(found, Verified)
        return found

    async def replay(self, events: Sequence[Stored]) -> None:
        await self.take(events)

    async def compare(self) -> Corrupt | Verified:
        await self._process.give(work.END)
        found = await self._answer()
        assert not isinstance(found, int)
        return found

    async def _answer(self) -> Corrupt | Verified | int:
        return work.found_of(await self._process.answer())
