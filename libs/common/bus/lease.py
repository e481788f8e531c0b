"""A lease: of several copies of a service one leads, and another takes over when it ends.

The entry of a lease is written again every 2 s by the copy that holds it. Whoever has seen the same writing
for 6 s takes it, in the place of that very writing, so of several one gets it. The holder counts from before
it wrote and gives up a second before the 6 s have passed; the others count from after they have read. So only
lengths of time count, on clocks that nobody sets, and never two hold it. A process may be paused between
looking at its lease and what it then does: what must not happen twice has to be guarded all the same.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog

from libs.common import telemetry
from libs.common.bus.entries import Entries, Entry, Replaced
from libs.common.clock import Ticks, monotonic
from libs.common.errors import LogUnavailable
from libs.common.ids import new_id

logger = structlog.get_logger()

LENGTH_S: Final = 6.0
RENEWED_S: Final = 2.0
GIVEN_UP_S: Final = 1.0
"""Before its end."""
LOOKED_S: Final = 0.5
"""How often the others look."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A writing of the entry, and since when it has been the newest, as far as this copy knows."""

    sequence: int
    at: float


class Lease:
    """name: the entry's key. holder: this copy's name, which no other process has while this one lives.

    An attempt to write must not take longer than until the lease would be given up: `entries` should not try
    for more than a second or two.
    """

    def __init__(
        self,
        entries: Entries,
        name: str,
        *,
        holder: str | None = None,
        ticks: Ticks = monotonic,
        on_change: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._entries = entries
        self._name = name
        self.holder = holder or new_id()
        self._ticks = ticks
        self._on_change = on_change
        self._until = float("-inf")
        self._sequence: int | None = None
        """Of our own newest writing, while we hold it."""
        self._seen: Seen | None = None
        self._told = False
        self._moved = asyncio.Event()
        """Set when it is taken or given up; another one waits for the next time."""
        self._held = telemetry.gauge(
            "specstream.lease.held", unit="{lease}", description="Whether this copy leads: 1 or 0"
        )
        self._held.tell(lambda: float(self.is_held), {"service": name})

    @property
    def is_held(self) -> bool:
        """By this copy, now."""
        return self._ticks() < self._until

    async def until(self, is_held: bool) -> None:
        """Returns when it is held, or is not any more; `run` finds that out."""
        while self.is_held != is_held:
            await self._moved.wait()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Tries to hold it for as long as the block runs, and lets it go at the end.

        What `run` raises ends the block and is raised: nobody would look after the lease any more.
        """
        failed: BaseExceptionGroup | None = None
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(self.run())
                yield
                running.cancel()
        except BaseExceptionGroup as raised:
            failed = raised
        finally:
            await self.release()
        if failed is not None:
            raise failed.exceptions[0] if len(failed.exceptions) == 1 else failed

    async def run(self) -> None:
        """Never returns. Raises what nobody expects of `entries` or of who is told of a change."""
        while True:
            try:
                await self.claim()
            except LogUnavailable as error:
                logger.info("the lease has to wait for the broker", lease=self._name, error=str(error))
            self._tell()
            if self._sequence is None:
                await asyncio.sleep(LOOKED_S)
            else:
                # Also between two writings somebody has to be told when it was given up.
                await asyncio.sleep(max(0.0, min(RENEWED_S, self._until - self._ticks())))
                self._tell()

    async def claim(self) -> None:
        """Write again what we hold; take what nobody holds. Raises LogUnavailable."""
        if self._sequence is not None and not self.is_held:
            self._sequence = self._seen = None
        if self._sequence is not None and await self._write(self._sequence):
            return
        entry = await self._entries.get(self._name)
        now = self._ticks()
        if entry is None:
            await self._write(0)
            return
        if holder_of(entry) in {"", self.holder}:
            # Free, or written by ourselves without an answer that we heard.
            await self._write(entry.sequence)
            return
        self._until = float("-inf")
        if self._seen is None or self._seen.sequence != entry.sequence:
            self._seen = Seen(entry.sequence, now)
        elif now - self._seen.at >= LENGTH_S:
            await self._write(entry.sequence)

    async def release(self) -> None:
        """Let it go, if we hold it: another copy need not wait for its end."""
        sequence, self._sequence, self._until = self._sequence, None, float("-inf")
        self._tell()
        if sequence is not None:
            with suppress(LogUnavailable, Replaced):
                await self._entries.put(self._name, _data(""), after=sequence)

    async def _write(self, after: int) -> bool:
        """Whether it is ours now. Raises LogUnavailable: then nobody knows, and what we held runs out."""
        began = self._ticks()
        try:
            self._sequence = await self._entries.put(self._name, _data(self.holder), after=after)
        except Replaced:
            self._sequence = self._seen = None
            return False
        self._until = began + LENGTH_S - GIVEN_UP_S
        self._seen = None
        return True

    def _tell(self) -> None:
        if self.is_held != self._told:
            self._told = self.is_held
            logger.info(
                "lease taken" if self._told else "lease given up", lease=self._name, holder=self.holder
            )
            self._on_change(self._told)
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()


def _data(holder: str) -> bytes:
    return json.dumps({"holder": holder}).encode()


def holder_of(entry: Entry) -> str | None:
    """Empty where its holder has let it go; None where the entry is not understood: somebody holds it."""
    try:
        content = json.loads(entry.data)
    except ValueError:
        return None
    holder = content.get("holder") if isinstance(content, dict) else None
    return holder if isinstance(holder, str) else None
