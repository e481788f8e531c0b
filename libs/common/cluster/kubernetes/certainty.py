"""Which objects are surely known as they are, and not as they were some time ago. Pure.

A list may be an old one, such as of an API server that has just started; what it lacks may be there, and what
it has may be gone. A watch that goes on from an old list tells what was true since, in order, until it has
caught up. What the server says when it is asked for one object is never old.

| what is known of an object                              | is certain                                    |
|---------------------------------------------------------|-----------------------------------------------|
| it is in the newest list, or is not                     | no                                            |
| a watch has told of it, or that it is gone, since       | unless the server has told of anything newer  |
|                                                         | than that before the watch did                |
| a watch tells of one that was known to be gone          | no, until it tells that it is gone            |
| the server was asked for it, or has taken a write of it | yes                                           |
"""

from collections.abc import Iterable
from typing import Final

_REMEMBERED: Final = 4_096


class Certainty:
    """Of the objects of one kind, by name. A version is a resource version; a greater one is newer."""

    def __init__(self) -> None:
        self._uncertain: set[str] = set()
        """Of those that are there."""
        self._gone: dict[str, None] = {}
        """Of those that are not: the certain ones, the newest few thousand."""
        self._denied: set[str] = set()
        """Of those that are there: a watch tells of them, and the server has said that they are gone."""
        self._is_behind_until = 0
        """The newest version of which a watch has not told yet, as far as that is known."""

    def of(self, name: str, *, is_there: bool) -> bool:
        return name not in self._uncertain if is_there else name in self._gone

    def list(self, names: Iterable[str]) -> None:
        """These are all that there are, by a list."""
        self._uncertain = set(names)
        self._gone.clear()
        self._denied.clear()
        self._is_behind_until = 0

    def hear(self, name: str, version: int) -> None:
        """A watch tells of it."""
        if name in self._gone:
            del self._gone[name]
            self._denied.add(name)
        if version <= self._is_behind_until or name in self._denied:
            self._uncertain.add(name)
        else:
            self._uncertain.discard(name)

    def hear_gone(self, name: str, version: int) -> None:
        """A watch tells that it is gone."""
        self._denied.discard(name)
        self._uncertain.discard(name)
        if version > self._is_behind_until:
            self._note_gone(name)

    def learn(self, name: str) -> None:
        """The server itself has told of it."""
        self._gone.pop(name, None)
        self._denied.discard(name)
        self._uncertain.discard(name)

    def learn_gone(self, name: str) -> None:
        """The server itself has told that it is not there."""
        self._denied.discard(name)
        self._uncertain.discard(name)
        self._note_gone(name)

    def is_behind(self, version: int) -> None:
        """A watch has not told yet what was there before it was last heard, up to this version."""
        self._is_behind_until = max(self._is_behind_until, version)

    def _note_gone(self, name: str) -> None:
        self._gone[name] = None
        if len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]
