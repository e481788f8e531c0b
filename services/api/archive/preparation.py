"""Read models of an import, made of its file in a process of its own while that is checked and stored."""

import asyncio
from pathlib import Path

import structlog

from libs.common.events.envelope import Position
from services.api.archive import work
from services.api.archive.own_process import ProcessEnded, started
from services.api.readmodels.prepared import Prepared

logger = structlog.get_logger()


class Preparation:
    """Begins at once and takes in as much of the file as `holds` has told; `end` it in any case.

    events: the file, which may still grow. made: where the read models are to lie, instead of what is there.
    """

    def __init__(self, events: Path, made: Path) -> None:
        self._events = events
        self._made = made
        self._sizes: asyncio.Queue[int | None] = asyncio.Queue()
        self.prepared: asyncio.Future[Prepared | None] = asyncio.get_running_loop().create_future()
        """None where they could not be made, as when one of the events cannot be taken in: then they are made
        as the events come from the log."""
        self._making = asyncio.create_task(self._make())

    def holds(self, size: int) -> None:
        """So many bytes of the file, more than before, are whole lines of events that hold."""
        self._sizes.put_nowait(size)

    def is_whole(self) -> None:
        """What holds by now is all."""
        self._sizes.put_nowait(None)

    async def finished(self) -> None:
        """Only after `is_whole`."""
        await self._making

    async def end(self) -> None:
        """Gives up what is not finished."""
        self._making.cancel()
        await asyncio.gather(self._making, return_exceptions=True)

    async def _make(self) -> None:
        """Whatever happens, whoever waits for them hears it."""
        self._remove()
        prepared = None
        try:
            prepared = await self._prepare()
        except (ProcessEnded, OSError) as error:
            logger.warning("read models of an import could not be prepared", error=str(error))
        finally:
            if prepared is None:
                self._remove()
            if not self.prepared.done():  # nobody waits any more
                self.prepared.set_result(prepared)

    async def _prepare(self) -> Prepared:
        async with started(work.__name__, work.PREPARE, str(self._events), str(self._made)) as process:
            while (size := await self._sizes.get()) is not None:
                await process.give(b"%d\n" % size)
            await process.give(work.END)
            end = (await process.answer())["prepared"]
            return Prepared(self._made, Position(end["sequence"], hash=end["hash"]))

    def _remove(self) -> None:
        self._made.unlink(missing_ok=True)
