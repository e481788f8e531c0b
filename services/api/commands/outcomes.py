"""What became of each command of another system, so that it has one effect and one answer.

A command is known by the source that it names and its id. Before it is carried out it is noted as begun,
with the end of the log at that moment; when its outcome is certain, that replaces the note. So a repeat
finds the outcome, and one that finds only the note has to look no further back than the note says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from libs.common.bus.entries import Entries, Replaced
from libs.common.clock import Clock
from libs.common.events.envelope import Cause
from libs.common.ids import name_key


@dataclass(frozen=True, slots=True)
class CommandKey:
    source: str
    """As the publisher claims it. Two sources may use the same id."""
    id: str

    @property
    def entry(self) -> str:
        return name_key(self.source, self.id)

    def is_cause_of(self, cause: Cause) -> bool:
        """Events of earlier versions have a command's source as their actor."""
        return cause.causation_id == self.id and (cause.causation_source or cause.actor) == self.source


class State(StrEnum):
    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    """The platform could not carry it out, for a reason of the command's own."""


class Record(BaseModel):
    """One entry."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    source: str
    id: str
    state: State
    at: datetime
    after: int
    """The end of the log before it was begun first."""
    attempts: int
    """How often it was begun."""
    answer: Mapping[str, Any] = {}
    """What its publisher is told; there in every state but `begun`."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A command that this process carries out now."""

    key: CommandKey
    sequence: int
    """The sequence of its note."""
    after: int
    attempts: int
    is_new: bool
    """Whether nobody can have carried it out before, in whole or in part."""


@dataclass(frozen=True, slots=True)
class Outcome:
    state: State
    at: datetime
    """When it became certain."""
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Both methods raise LogUnavailable, and Replaced where another process is at work on the same command:
    ask again."""

    entries: Entries
    clock: Clock

    async def begin(self, key: CommandKey, *, after: int, is_new: bool) -> Begun | Outcome:
        """Note that the command is begun, unless its outcome is known.

        after: the end of the log, or of what was in it before the command was published.
        is_new: whether this is its first delivery; a note from an earlier one says more.
        """
        record = Record(
            source=key.source, id=key.id, state=State.BEGUN, at=self.clock(), after=after, attempts=1
        )
        try:
            sequence = await self.entries.put(key.entry, _to_bytes(record), after=0)
        except Replaced:
            return await self._begin_again(key)
        return Begun(key, sequence, after, 1, is_new)

    async def _begin_again(self, key: CommandKey) -> Begun | Outcome:
        entry = await self.entries.get(key.entry)
        if entry is None:
            raise Replaced("the outcome was forgotten just now")
        found = Record.model_validate_json(entry.data)
        if found.state is not State.BEGUN:
            return Outcome(found.state, found.at, found.answer)
        # Written again, so that whoever noted it first cannot say any more what became of it.
        record = found.model_copy(update={"attempts": found.attempts + 1, "at": self.clock()})
        sequence = await self.entries.put(key.entry, _to_bytes(record), after=entry.sequence)
        return Begun(key, sequence, record.after, record.attempts, is_new=False)

    async def settle(self, begun: Begun, state: State, answer: Mapping[str, Any]) -> Outcome:
        """The outcome that counts: this one, or the one that another process was first to note."""
        record = Record(
            source=begun.key.source,
            id=begun.key.id,
            state=state,
            at=self.clock(),
            after=begun.after,
            attempts=begun.attempts,
            answer=answer,
        )
        try:
            await self.entries.put(begun.key.entry, _to_bytes(record), after=begun.sequence)
        except Replaced:
            entry = await self.entries.get(begun.key.entry)
            found = Record.model_validate_json(entry.data) if entry else None
            if found is None or found.state is State.BEGUN:
                raise
            record = found
        return Outcome(record.state, record.at, record.answer)


def _to_bytes(record: Record) -> bytes:
    return record.model_dump_json().encode()
