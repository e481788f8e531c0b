"""Keeping the present reasoning and the memory of each deployment in the bucket, and reading it back once.

An entry is written when its meaning changes, and from time to time so that its numbers are not too old; at
most 50 are written in a second, and of several changes of one deployment only the last. A bucket that is away
holds up no decision: the log alone suffices.
"""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

import structlog
from pydantic import ValidationError

from libs.common.autoscaling.kept import Kept, read_kept
from libs.common.autoscaling.present import Present
from libs.common.bus.entries import Entries, Replaced
from libs.common.clock import Ticks
from libs.common.errors import LogUnavailable
from services.autoscaler.memory import KeptMemory, Memory, that_matter

logger = structlog.get_logger()

BETWEEN_S: Final = 0.02
"""Between two writes."""
RETRY_S: Final = 5.0
"""So long a bucket that does not answer is left alone."""
REFRESHED_S: Final = 60.0
"""So old the numbers of an entry become while its meaning stays, unless there are many entries."""
REFRESHED_IN_S: Final = 0.2
"""Between two writes of what means the same."""


@dataclass(frozen=True, slots=True)
class _Written:
    meaning: Hashable
    at: float


class Keeper:
    def __init__(self, entries: Entries, *, ticks: Ticks) -> None:
        self._entries = entries
        self._ticks = ticks
        self._waiting: dict[str, tuple[Memory, Present, float]] = {}
        self._fresher: dict[str, tuple[Memory, Present, float]] = {}
        """What means the same as what is written, with newer numbers."""
        self._written: dict[str, _Written] = {}
        self._sequences: dict[str, int] = {}
        self._away_until = 0.0
        self._news = asyncio.Event()

    async def read(self, deployment_id: str) -> tuple[str, KeptMemory] | None:
        """What is kept, with the stretch that it belongs to; None where there is nothing, or no answer."""
        if self._ticks() < self._away_until:
            return None
        try:
            entry = await self._entries.get(deployment_id)
        except LogUnavailable as error:
            self._is_away(error)
            return None
        if entry is None:
            return None
        self._sequences[deployment_id] = entry.sequence
        kept = read_kept(deployment_id, entry.data)
        try:
            return None if kept is None else (kept.present.stretch_id, KeptMemory.model_validate(kept.memory))
        except ValidationError:
            return None

    def note(self, deployment_id: str, memory: Memory, present: Present) -> None:
        now = self._ticks()
        written = self._written.get(deployment_id)
        if written is None or written.meaning != meaning_of(memory, present):
            self._waiting[deployment_id] = (memory, present, now)
            self._news.set()
        elif now - written.at >= REFRESHED_S:
            self._fresher[deployment_id] = (memory, present, now)
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
                await self._write(name, *self._waiting.pop(name))
                await asyncio.sleep(BETWEEN_S)
            elif self._fresher:
                name = next(iter(self._fresher))
                await self._write(name, *self._fresher.pop(name))
                await asyncio.sleep(REFRESHED_IN_S)
            else:
                self._news.clear()

    async def _write(self, name: str, memory: Memory, present: Present, at: float) -> None:
        kept = Kept(present=present, memory=KeptMemory.of(memory, now=at).model_dump(mode="json"))
        data = kept.model_dump_json(exclude_defaults=True).encode()
        self._fresher.pop(name, None)
        try:
            self._sequences[name] = await self._put(name, data)
        except LogUnavailable as error:
            self._is_away(error)
            self._waiting.setdefault(name, (memory, present, at))
            self._news.set()
            return
        self._written[name] = _Written(meaning_of(memory, present), self._ticks())

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


def meaning_of(memory: Memory, present: Present) -> Hashable:
    """What a reader would call the same: everything but measured values, ages and times."""
    in_flight = present.in_flight
    return (
        (present.spec_id, present.stretch_id, present.current, present.replicas, present.reason),
        present.is_rolling_out,
        tuple((one.type, one.is_true, one.reason) for one in present.conditions),
        tuple((one.metric, one.proposal, one.unknown, one.is_held) for one in present.metrics),
        None if present.stabilised is None else (present.stabilised.replicas, present.stabilised.reason),
        None if present.limited is None else (present.limited.replicas, present.limited.reason),
        None if in_flight is None else (in_flight.needed, in_flight.panicking_for_s is None),
        frozenset(present.unknown.items()),
        tuple(one.replicas for one in that_matter(memory.hpa.recommendations or ())),
    )
