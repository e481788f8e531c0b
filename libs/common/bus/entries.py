"""One entry for each key, replaced only by who has read it. The port, and its adapter in memory."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

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


MOST_AT_ONCE: Final = 1_000
"""Keys that are read with one question; the broker answers none about more than 1,024 subjects."""


class ManyEntries(Entries, Protocol):
    """Entries that are read many at once, which costs a tenth of reading them one by one."""

    async def get_many(self, keys: Collection[str]) -> Mapping[str, Entry]:
        """Those of these keys that there are; at most `MOST_AT_ONCE` keys. Raises LogUnavailable.

        They may be a little old: another server than the leader may answer. Whoever replaces an entry finds
        that out.
        """
        ...


@dataclass(slots=True)
class MemoryEntries:
    """For unit tests and trials; nothing in it vanishes."""

    _entries: dict[str, Entry] = field(default_factory=dict)
    _written: int = 0

    async def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    async def get_many(self, keys: Collection[str]) -> Mapping[str, Entry]:
        if len(keys) > MOST_AT_ONCE:
            raise ValueError(f"{len(keys)} keys at once: at most {MOST_AT_ONCE}")
        return {key: self._entries[key] for key in keys if key in self._entries}

    async def put(self, key: str, data: bytes, *, after: int) -> int:
        present = self._entries.get(key)
        if (present.sequence if present else 0) != after:
            raise Replaced(f"the entry {key} is no longer the one that was read")
        self._written += 1
        self._entries[key] = Entry(self._written, data)
        return self._written
