"""One entry for each key, replaced only by who has read it. The port, and its adapter in memory."""

from dataclasses import dataclass, field
from typing import Protocol

from libs.common.errors import Temporary


class Replaced(Temporary):
    """Somebody else has written the entry since it was read: read it and decide again."""


@dataclass(frozen=True, slots=True)
class Entry:
    sequence: int
    """Which writing of it this is; the condition of the next one."""
    data: bytes


class Entries(Protocol):
    """Old entries vanish by themselves, by age or when there are too many; a key has no dots or spaces."""

    async def get(self, key: str) -> Entry | None:
        """The newest of the key; None when there is none. Raises LogUnavailable."""
        ...

    async def put(self, key: str, data: bytes, *, after: int) -> int:
        """Replace the entry whose sequence is `after`, 0 for none; the sequence of the new one, durable.

        Raises Replaced when the newest is another one, LogUnavailable when the outcome stays unknown, and
        ValueError for more bytes than the broker takes.
        """
        ...


@dataclass(slots=True)
class MemoryEntries:
    """For unit tests and trials; nothing in it vanishes."""

    _entries: dict[str, Entry] = field(default_factory=dict)
    _written: int = 0

    async def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    async def put(self, key: str, data: bytes, *, after: int) -> int:
        present = self._entries.get(key)
        if (present.sequence if present else 0) != after:
            raise Replaced(f"the entry {key} is no longer the one that was read")
        self._written += 1
        self._entries[key] = Entry(self._written, data)
        return self._written
