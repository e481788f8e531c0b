"""Keeping the present reasoning and the memory of each deployment in the bucket, and reading it back once.

An entry is written when its meaning changes, and from time to time so that its numbers are not too old; at
most 50 are written in a second, and of several changes of one deployment only the last. A bucket that is away
holds up no decision: the log alone suffices.
"""

import asyncio
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from pydantic import ValidationError

from libs.common.autoscaling.kept import Kept, read_kept
from libs.common.bus.entries import Entry, ManyEntries, Replaced
from libs.common.clock import Ticks
from libs.common.errors import LogUnavailable
from services.autoscaler.decide import Outcome
from services.autoscaler.memory import KeptMemory

logger = structlog.get_logger()

BETWEEN_S: Final = 0.02
"""Between two writes."""
RETRY_S: Final = 5.0
"""So long a bucket that does not answer is left alone."""
REFRESHED_S: Final = 60.0
"""So old the numbers of an entry become while its meaning stays, unless there are many entries."""
MOST_FRESHER: Final = 1_000
"""That wait to be refreshed."""
REFRESHED_IN_S: Final = 0.2
"""Between two writes of what means the same."""


@dataclass(frozen=True, slots=True)
class _Written:
    meaning: Hashable
    at: float


class Keeper:
    def __init__(self, entries: ManyEntries, *, ticks: Ticks) -> None:
        self._entries = entries
        self._ticks = ticks
        self._waiting: dict[str, Outcome] = {}
        self._fresher: dict[str, Outcome] = {}
        """What means the same as what is written, with newer numbers."""
        self._written: dict[str, _Written] = {}
        self._sequences: dict[str, int] = {}
        self._away_until = 0.0
        self._news = asyncio.Event()

    async def read(self, deployment_ids: Collection[str]) -> Mapping[str, tuple[str, KeptMemory]]:
        """What is kept of these, each with the stretch that it belongs to; without those of which there is
        nothing, and of none where there is no answer. At most `entries.MOST_AT_ONCE`."""
        if self._ticks() < self._away_until:
            return {}
        try:
            found = await self._entries.get_many(deployment_ids)
        except LogUnavailable as error:
            self._is_away(error)
            return {}
        memories = {name: self._memory(name, entry) for name, entry in found.items()}
        return {name: memory for name, memory in memories.items() if memory is not None}

    def _memory(self, deployment_id: str, entry: Entry) -> tuple[str, KeptMemory] | None:
        self._sequences[deployment_id] = entry.sequence
        kept = read_kept(deployment_id, entry.data)
        try:
            return None if kept is None else (kept.present.stretch_id, KeptMemory.model_validate(kept.memory))
        except ValidationError:
            return None

    def note(self, deployment_id: str, outcome: Outcome) -> None:
        """Of what means the same as what is written nothing else is worked out."""
        written = self._written.get(deployment_id)
        if written is None or written.meaning != outcome.meaning:
            self._waiting[deployment_id] = outcome
            self._news.set()
        else:
            self._waiting.pop(deployment_id, None)
            is_old = outcome.now - written.at >= REFRESHED_S
            if is_old and (len(self._fresher) < MOST_FRESHER or deployment_id in self._fresher):
                self._fresher[deployment_id] = outcome
                self._news.set()

    def forget(self, deployment_id: str) -> None:
        """What lies in the bucket stays until newer entries need its place."""
        for known in (self._waiting, self._fresher, self._written, self._sequences):
            known.pop(deployment_id, None)

    def start_anew(self) -> None:
        """Another copy may have written meanwhile."""
        self._written.clear()
        self._sequences.clear()

    async def run(self) -> None:
        """Never returns."""
        while True:
            await self._news.wait()
            if (wait_s := self._away_until - self._ticks()) > 0:
                await asyncio.sleep(wait_s)
            if self._waiting:
                name = next(iter(self._waiting))
                await self._write(name, self._waiting.pop(name))
                await asyncio.sleep(BETWEEN_S)
            elif self._fresher:
                name = next(iter(self._fresher))
                await self._write(name, self._fresher.pop(name))
                await asyncio.sleep(REFRESHED_IN_S)
            else:
                self._news.clear()

    async def _write(self, name: str, outcome: Outcome) -> None:
        memory = KeptMemory.of(outcome.memory, now=outcome.now)
        kept = Kept(present=outcome.present(), memory=memory.model_dump(mode="json"))
        data = kept.model_dump_json(exclude_defaults=True).encode()
        self._fresher.pop(name, None)
        try:
            self._sequences[name] = await self._put(name, data)
        except LogUnavailable as error:
            self._is_away(error)
            self._waiting.setdefault(name, outcome)
            self._news.set()
            return
        self._written[name] = _Written(outcome.meaning, outcome.now)

    async def _put(self, name: str, data: bytes) -> int:
        """Whoever wrote before, what is decided now is what counts."""
        while True:
            try:
                return await self._entries.put(name, data, after=self._sequences.get(name, 0))
            except Replaced:
                entry = await self._entries.get(name)
                self._sequences[name] = 0 if entry is None else entry.sequence

    def _is_away(self, error: Exception) -> None:
        self._away_until = self._ticks() + RETRY_S
        logger.warning("the reasoning about scaling cannot be kept", error=str(error))
